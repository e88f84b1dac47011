//! What `weir mock --help` says below its flags: which paths are answered, and every key of the orders. It is text alone; a test
//! holds it, and `docs/mock.md`, against the keys that are read.

pub const HELP: &str = "\
Paths, under any prefix:
  OpenAI         /v1/chat/completions /v1/completions /v1/embeddings /v1/responses, GET /v1/models
  Azure OpenAI   /openai/deployments/{deployment}/... with ?api-version=; AI21 /studio/v1/chat/completions
  Anthropic      /v1/messages /v1/messages/count_tokens, GET /v1/models with anthropic-version
  Gemini, Vertex .../models/{model}:generateContent :streamGenerateContent?alt=sse :embedContent :batchEmbedContents :predict
                 :countTokens
  Bedrock        /model/{id}/converse /model/{id}/converse-stream /model/{id}/invoke (Titan's and Cohere's embeddings)
  Cohere         /v2/chat /v2/embed
  Databricks     .../{endpoint}/invocations: chat, completions, embeddings, and predictions for tables and tensors
  OAuth 2        /token (JWT bearer grant, client credentials) /{tenant}/oauth2/v2.0/token
  The mock's own GET /health /_mock/count /_mock/requests?last=N, POST /_mock/behave /_mock/reset

Keys of --behave, of POST /_mock/behave, and of a request's own field `mock` ({\"mock\": {\"NAME or *\": {...}}}):
  What fails     status=503 retry_after=SECONDS headers={..} reset hang empty
                 raw={\"content_type\":..,\"body\":..} or {\"body_base64\":..}
  When           delay_ms=N chunk_delay_ms=N
  How it breaks  midreset=EVENTS stream_error=EVENTS no_done half_event broken_json wrong_content_length chunk_bytes=N
  What is said   content=TEXT content_tokens=N chunks=N tool_calls=MOST reasoning=TEXT echo
  What is counted usage={..} no_usage cached_tokens=N cache_write_tokens=N expires_in=SECONDS

An answer calls the tools that the request offers, each once, with arguments that fit the schema; after their results it
answers with text. A token is a word. docs/mock.md says more.";

#[cfg(test)]
mod tests {
    use super::super::behaviour::Behaviour;
    use super::*;

    #[test]
    fn every_key_is_described() {
        let error = Behaviour::from_json(r#"{"no such key":1}"#).unwrap_err();
        // serde lists the keys that it would have taken.
        let keys: Vec<&str> = error.split('`').skip(3).step_by(2).collect();
        assert!(keys.len() > 20, "{error}");
        let page = include_str!("../../../docs/mock.md");
        for key in keys {
            assert!(HELP.contains(key), "`{key}` is not in the help");
            assert!(page.contains(&format!("`{key}`")), "`{key}` is not in docs/mock.md");
        }
    }
}
