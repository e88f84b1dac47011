//! Embeddings of Cohere's models, at Cohere (`/v2/embed`) and behind Bedrock's InvokeModel.

use super::{Answer, Request};
use crate::translate::json::{Json, Object};

/// Cohere's models want to know what a text is for. What is stored is the greater part; callers that search send
/// `input_type` themselves.
const INPUT_TYPE: &str = "search_document";

pub fn request<'a>(request: Request<'a>, model: &str) -> Object<'a> {
    let mut body = Object::new().with("model", model.to_owned());
    body.extend(texts(request));
    body.with("embedding_types", vec!["float".into()])
}

/// Bedrock names the model in the path, and gives floats unasked.
pub fn bedrock_request(request: Request<'_>) -> Object<'_> {
    texts(request)
}

fn texts(request: Request<'_>) -> Object<'_> {
    let texts: Vec<Json<'_>> = request.inputs.into_iter().map(Json::Text).collect();
    Object::new()
        .with("texts", texts)
        .with("input_type", request.input_type.unwrap_or(INPUT_TYPE.into()))
        .maybe("output_dimension", request.dimensions)
}

/// Embeddings stand in a list, or by their type. Bedrock counts tokens in a header.
pub fn answer(mut answer: Object<'_>) -> Option<Answer<'_>> {
    let vectors = match answer.take("embeddings")? {
        Json::List(vectors) => vectors,
        Json::Object(mut by_type) => by_type.take_list("float")?,
        _ => return None,
    };
    let billed = answer.get("meta").and_then(|meta| meta.get("billed_units")?.get("input_tokens"));
    Some(Answer { vectors, input_tokens: billed.and_then(Json::to_u64) })
}
