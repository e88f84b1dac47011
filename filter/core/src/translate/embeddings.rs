//! OpenAI's embeddings at providers that have them in other words: request, answer and error of each. A vector's numbers pass as
//! the provider wrote them, unless the caller asks for base64, as OpenAI's own client does unasked.

mod cohere;
mod titan;

use serde_json::Number;

use super::{
    Memo, Sent, Target, Untranslatable,
    client::chat,
    json::{Json, Object},
    neutral::{Failure, Text},
    provider::{self, google},
    read::{expect_object, expect_text},
};
use crate::base64;

/// Who embeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Embedder {
    /// Cohere's models behind Bedrock's InvokeModel.
    BedrockCohere,
    /// Amazon's Titan behind Bedrock's InvokeModel.
    BedrockTitan,
    /// `/v2/embed`.
    Cohere,
    /// `batchEmbedContents`.
    Gemini,
    /// `predict`.
    Vertex,
}

/// What a caller asks for.
struct Request<'a> {
    inputs: Vec<Text<'a>>,
    dimensions: Option<Number>,
    /// What the texts are for, as Cohere's models want to know. No field of OpenAI's.
    input_type: Option<Text<'a>>,
    is_base64: bool,
}

/// What he gets.
#[derive(Default)]
struct Answer<'a> {
    /// Lists of numbers, in the order of the inputs.
    vectors: Vec<Json<'a>>,
    input_tokens: Option<u64>,
}

impl Embedder {
    pub const ALL: [Self; 5] = [Self::BedrockCohere, Self::BedrockTitan, Self::Cohere, Self::Gemini, Self::Vertex];

    /// As golden files have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::BedrockCohere => "bedrock-cohere-embed",
            Self::BedrockTitan => "bedrock-titan-embed",
            Self::Cohere => "cohere-embed",
            Self::Gemini => "gemini-embed",
            Self::Vertex => "vertex-embed",
        }
    }

    pub fn request(self, body: &[u8], target: &Target<'_>) -> Result<Sent, Untranslatable> {
        let request = read(body)?;
        let memo = Memo {
            echo: Object::new().with("model", target.model.to_owned()),
            is_base64: request.is_base64,
            ..Memo::default()
        };
        let body = match self {
            Self::BedrockCohere => cohere::bedrock_request(request),
            Self::BedrockTitan => titan::request(request)?,
            Self::Cohere => cohere::request(request, target.model),
            Self::Gemini => to_gemini(request, target.model),
            Self::Vertex => to_vertex(request),
        };
        Ok(Sent { body: body.to_bytes(), memo })
    }

    /// `None`: it is no answer.
    pub fn answer(self, answer: Object<'_>, memo: &Memo) -> Option<Vec<u8>> {
        let answer = match self {
            Self::BedrockCohere | Self::Cohere => cohere::answer(answer)?,
            Self::BedrockTitan => titan::answer(answer)?,
            Self::Gemini => of_gemini(answer)?,
            Self::Vertex => of_vertex(answer)?,
        };
        Some(write(answer, memo).to_bytes())
    }

    pub fn failure(self, error: Object<'_>) -> Option<Failure<'_>> {
        match self {
            Self::BedrockCohere | Self::BedrockTitan => provider::bedrock::failure(error),
            Self::Cohere => provider::cohere::failure(error),
            Self::Gemini | Self::Vertex => google::failure(error),
        }
    }

    pub fn error(self, status: u16, failure: Failure<'_>) -> Object<'_> {
        chat::error(status, failure)
    }
}

fn read(body: &[u8]) -> Result<Request<'_>, Untranslatable> {
    let document = Json::parse(body).map_err(|e| Untranslatable(format!("the body is not valid JSON: {e}")))?;
    let mut body = expect_object(document, "the request's body")?;
    let tokens = || Untranslatable("the model that answers takes no tokens: send `input` as a text or texts".into());
    let inputs = match body.take("input").unwrap_or_default() {
        Json::Text(text) => vec![text],
        Json::List(list) if matches!(list.first(), Some(Json::Number(_) | Json::List(_))) => return Err(tokens()),
        Json::List(list) => {
            list.into_iter().map(|input| expect_text(input, "each of `input`")).collect::<Result<_, _>>()?
        }
        _ => return Err(Untranslatable("`input` must be a text or a list of texts".into())),
    };
    let is_base64 = match body.text("encoding_format") {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => return Err(Untranslatable("`encoding_format` must be \"float\" or \"base64\"".into())),
    };
    let dimensions = super::read::number(&mut body, "dimensions")?;
    Ok(Request { inputs, dimensions, input_type: body.take_text("input_type"), is_base64 })
}

fn to_gemini<'a>(request: Request<'a>, model: &str) -> Object<'a> {
    let Request { inputs, dimensions, .. } = request;
    let one = |text: Text<'a>| {
        let part = Object::new().with("text", text).into();
        Object::new()
            .with("model", format!("models/{model}"))
            .with("content", Object::new().with("parts", vec![part]))
            .maybe("outputDimensionality", dimensions.clone())
            .into()
    };
    Object::new().with("requests", inputs.into_iter().map(one).collect::<Vec<Json<'a>>>())
}

fn to_vertex(request: Request<'_>) -> Object<'_> {
    let one = |text| Object::new().with("content", text).into();
    let instances: Vec<Json<'_>> = request.inputs.into_iter().map(one).collect();
    let parameters = request.dimensions.map(|dimensions| Object::new().with("outputDimensionality", dimensions));
    Object::new().with("instances", instances).maybe("parameters", parameters)
}

fn of_gemini(mut answer: Object<'_>) -> Option<Answer<'_>> {
    let mut embeddings = answer.take_list("embeddings")?.into_iter();
    Some(Answer {
        vectors: embeddings.by_ref().map_while(|one| one.into_object()?.take("values")).collect(),
        input_tokens: answer.get("usageMetadata").and_then(|counts| counts.get("promptTokenCount")?.as_u64()),
    })
}

/// Vertex counts the tokens of each input.
fn of_vertex(mut answer: Object<'_>) -> Option<Answer<'_>> {
    let mut read = Answer::default();
    for prediction in answer.take_list("predictions")? {
        let mut embedding = prediction.into_object()?.take_object("embeddings")?;
        let counted = embedding.get("statistics").and_then(|statistics| statistics.get("token_count")?.as_u64());
        if let Some(counted) = counted {
            read.input_tokens = Some(read.input_tokens.unwrap_or(0).saturating_add(counted));
        }
        read.vectors.push(embedding.take("values")?);
    }
    Some(read)
}

fn write<'a>(answer: Answer<'a>, memo: &Memo) -> Object<'a> {
    let one = |(vector, index): (Json<'a>, u64)| {
        let vector = if memo.is_base64 { packed(&vector).into() } else { vector };
        Object::new().with("object", "embedding").with("index", index).with("embedding", vector).into()
    };
    let data: Vec<Json<'a>> = answer.vectors.into_iter().zip(0..).map(one).collect();
    let usage = answer
        .input_tokens
        .or(memo.input_tokens)
        .map(|tokens| Object::new().with("prompt_tokens", tokens).with("total_tokens", tokens));
    let mut body = Object::new().with("object", "list").with("data", data);
    body.extend(memo.echo.clone());
    body.maybe("usage", usage)
}

/// Little-endian floats of 32 bits, as OpenAI's clients read them.
fn packed(vector: &Json<'_>) -> String {
    let Json::List(numbers) = vector else { return String::new() };
    let float = |number: &Json<'_>| match number {
        Json::Number(number) => number.as_f64().unwrap_or_default() as f32,
        _ => 0.0,
    };
    base64::encode(&numbers.iter().flat_map(|number| float(number).to_le_bytes()).collect::<Vec<u8>>())
}
