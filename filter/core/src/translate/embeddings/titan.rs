//! Embeddings of Amazon's Titan behind Bedrock's InvokeModel: one text at a time.

use super::{Answer, Request};
use crate::translate::{
    Untranslatable,
    json::{Json, Object},
};

pub fn request(request: Request<'_>) -> Result<Object<'_>, Untranslatable> {
    let Ok([text]) = <[_; 1]>::try_from(request.inputs) else {
        let why = "the model that answers takes one text at a time: send `input` as a text, in one request for each";
        return Err(Untranslatable(why.into()));
    };
    Ok(Object::new().with("inputText", text).maybe("dimensions", request.dimensions))
}

pub fn answer(mut answer: Object<'_>) -> Option<Answer<'_>> {
    let vector = answer.take_list("embedding")?;
    let input_tokens = answer.u64("inputTextTokenCount");
    Some(Answer { vectors: vec![Json::List(vector)], input_tokens })
}
