//! The APIs that a caller can speak, whatever path they came by. Which provider can answer which of them, and how, is
//! [`crate::config::Provider::way`]'s to say.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// OpenAI's chat completions; `/invocations` of a chat model too.
    Chat,
    /// OpenAI's older completions.
    Completions,
    /// Anthropic's `messages/count_tokens`.
    CountTokens,
    Embeddings,
    /// Anthropic's messages.
    Messages,
    /// A custom model's own: `dataframe_split`, `dataframe_records`, `instances`, `inputs`.
    Predict,
    /// OpenAI's responses.
    Responses,
}

impl Api {
    const ALL: [Self; 7] = [
        Self::Chat,
        Self::Completions,
        Self::CountTokens,
        Self::Embeddings,
        Self::Messages,
        Self::Predict,
        Self::Responses,
    ];

    /// The task of the endpoints that answer it.
    pub fn task(self) -> Task {
        match self {
            Self::Chat | Self::CountTokens | Self::Messages | Self::Responses => Task::Chat,
            Self::Completions => Task::Completions,
            Self::Embeddings => Task::Embeddings,
            Self::Predict => Task::Predict,
        }
    }

    /// What `/invocations` of an endpoint with this task speaks.
    pub fn of_task(task: Task) -> Self {
        match task {
            Task::Chat => Self::Chat,
            Task::Completions => Self::Completions,
            Task::Embeddings => Self::Embeddings,
            Task::Predict => Self::Predict,
        }
    }

    /// Whether a stream's usage must be asked for, in `stream_options`.
    pub fn has_stream_options(self) -> bool {
        matches!(self, Self::Chat | Self::Completions)
    }

    /// Whether it is Anthropic's own.
    pub fn is_anthropic(self) -> bool {
        matches!(self, Self::CountTokens | Self::Messages)
    }

    /// For filter state: one letter.
    pub fn letter(self) -> char {
        match self {
            Self::Chat => 'c',
            Self::Completions => 't',
            Self::CountTokens => 'n',
            Self::Embeddings => 'e',
            Self::Messages => 'm',
            Self::Predict => 'p',
            Self::Responses => 'r',
        }
    }

    pub fn of_letter(letter: char) -> Option<Self> {
        Self::ALL.into_iter().find(|api| api.letter() == letter)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    Chat,
    Completions,
    Embeddings,
    /// A custom model's own: it has no name.
    Predict,
}

impl Task {
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Chat => Some("llm/v1/chat"),
            Self::Completions => Some("llm/v1/completions"),
            Self::Embeddings => Some("llm/v1/embeddings"),
            Self::Predict => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn letters_are_one_each() {
        for api in Api::ALL {
            assert_eq!(Api::of_letter(api.letter()), Some(api));
        }
        assert_eq!(Api::of_letter('x'), None);
    }
}
