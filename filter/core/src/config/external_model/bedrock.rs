//! `amazon_bedrock_config`: the region, whose model it is, and what signs requests: an access key, or a bearer token in its place.

use super::{Credential, Provider, Server, providers::known};
use crate::{
    config::{
        BedrockMaker, Secret,
        reader::{Field, Object},
        secret, url,
    },
    sigv4,
};

/// `model`: the provider's own name of it, where that could be read.
pub(super) fn read(field: &Field<'_>, model: Option<&str>) -> Option<Server> {
    let mut bedrock = field.object()?;
    let region = bedrock.read("aws_region", "a region such as us-east-1", |region| {
        let in_host = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        region.matching("lower-case letters, digits and `-`: it goes into the host", in_host).map(str::to_owned)
    });
    let maker = bedrock.read("bedrock_provider", "whose model it is, such as `anthropic`", |maker| {
        maker.choice(&[
            ("ai21labs", BedrockMaker::Other),
            ("amazon", BedrockMaker::Amazon),
            ("anthropic", BedrockMaker::Anthropic),
            ("cohere", BedrockMaker::Cohere),
            ("other", BedrockMaker::Other),
        ])
    });
    for key in ["instance_profile_arn", "uc_service_credential_name"] {
        if let Some(field) = bedrock.take(key) {
            field.reject("no such key: Weir signs with `aws_access_key_id`, or sends `amazon_bedrock_api_key`");
        }
    }
    let upstream = bedrock.read_if("amazon_bedrock_api_base", url::read);
    let credential = credential(&mut bedrock, field, region.as_deref());
    bedrock.close();
    let region = region?;
    let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
    let own = || known(&format!("bedrock-runtime.{region}.amazonaws.com{suffix}"), "");
    let upstream = upstream?.unwrap_or_else(own);
    let model_path = format!("/model/{}", sigv4::encode_segment(model?));
    Some(Server { provider: Provider::Bedrock { maker: maker?, model_path }, credential: credential?, upstream })
}

const TOKEN: (&str, &str) = ("aws_session_token", "aws_session_token_plaintext");
const BEARER: (&str, &str) = ("amazon_bedrock_api_key", "amazon_bedrock_api_key_plaintext");
const KEY_ID: (&str, &str) = ("aws_access_key_id", "aws_access_key_id_plaintext");
const SECRET: (&str, &str) = ("aws_secret_access_key", "aws_secret_access_key_plaintext");

fn credential(bedrock: &mut Object<'_>, field: &Field<'_>, region: Option<&str>) -> Option<Credential> {
    let has = |(key, plaintext): (&str, &str)| [key, plaintext].iter().any(|key| field.node.entry(key).is_some());
    if has(BEARER) {
        let token = secret::bearer_of(bedrock, BEARER.0, BEARER.1);
        for key in [KEY_ID.0, KEY_ID.1, SECRET.0, SECRET.1, TOKEN.0, TOKEN.1] {
            if let Some(field) = bedrock.take(key) {
                field.reject_unseen("no such key beside `amazon_bedrock_api_key`");
            }
        }
        return Some(Credential::Header { name: "authorization".into(), value: token? });
    }
    bedrock.pass_over(&[BEARER.0, BEARER.1]);
    let id = secret::plain_of(bedrock, KEY_ID.0, KEY_ID.1);
    let secret = secret::plain_of(bedrock, SECRET.0, SECRET.1);
    let session_token = session_token(bedrock, has(TOKEN));
    let region = region?.to_owned();
    Some(Credential::Aws(Box::new(sigv4::Key { id: id?, secret: secret?, session_token: session_token?, region })))
}

/// `None`: it is wrong.
fn session_token(bedrock: &mut Object<'_>, is_there: bool) -> Option<Option<Secret>> {
    if is_there {
        return secret::plain_of(bedrock, TOKEN.0, TOKEN.1).map(Some);
    }
    bedrock.pass_over(&[TOKEN.0, TOKEN.1]);
    Some(None)
}
