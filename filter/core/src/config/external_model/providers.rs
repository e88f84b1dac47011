//! The object that each provider has of its own (`openai_config` and so on): where the server is, and the credential.

use super::{Credential, Provider, Server, Upstream};
use crate::{
    config::{
        reader::{Field, Object},
        secret, url,
    },
    oauth::{Grant, Kind},
};

/// Its chat resembles OpenAI's.
pub(super) fn ai21(field: &Field<'_>) -> Option<Server> {
    let mut ai21 = field.object()?;
    let key = secret::bearer_of(&mut ai21, "ai21labs_api_key", "ai21labs_api_key_plaintext");
    let own = known("api.ai21.com", "/studio/v1");
    let upstream = ai21.read_or("ai21labs_api_base", own, |base| ending_before(base, &["/chat/completions"]));
    ai21.close();
    Some(Server { provider: Provider::Ai21, credential: bearer(key?), upstream: upstream? })
}

pub(super) fn cohere(field: &Field<'_>) -> Option<Server> {
    let mut cohere = field.object()?;
    let key = secret::bearer_of(&mut cohere, "cohere_api_key", "cohere_api_key_plaintext");
    let own = known("api.cohere.com", "");
    let paths = ["/v1", "/v2", "/v2/chat", "/v2/embed"];
    let upstream = cohere.read_or("cohere_api_base", own, |base| ending_before(base, &paths));
    cohere.close();
    Some(Server { provider: Provider::Cohere, credential: bearer(key?), upstream: upstream? })
}

pub(super) fn anthropic(field: &Field<'_>) -> Option<Server> {
    let mut anthropic = field.object()?;
    let key = secret::plain_of(&mut anthropic, "anthropic_api_key", "anthropic_api_key_plaintext");
    let own = known("api.anthropic.com", "");
    let upstream = anthropic.read_or("anthropic_api_base", own, |base| ending_before(base, &["/v1/messages", "/v1"]));
    anthropic.close();
    let credential = Credential::Header { name: "x-api-key".into(), value: key? };
    Some(Server { provider: Provider::Anthropic, credential, upstream: upstream? })
}

/// An OpenAI-compatible server: its URL may end before the API's path or with it.
pub(super) fn custom(field: &Field<'_>) -> Option<Server> {
    let mut custom = field.object()?;
    let expected = "the URL of an OpenAI-compatible server";
    let upstream = custom.read("custom_provider_url", expected, |url| {
        let mut upstream = url::read(url)?;
        let paths = ["/chat/completions", "/completions", "/embeddings"];
        if let Some(base) = paths.iter().find_map(|path| upstream.path_prefix.strip_suffix(path)) {
            upstream.path_prefix = base.to_owned();
        }
        Some(upstream)
    });
    let credential = match (custom.take("api_key_auth"), custom.take("bearer_token_auth")) {
        (Some(auth), None) => api_key_auth(&auth),
        (None, Some(auth)) => auth.object().and_then(|mut auth| {
            let token = secret::bearer_of(&mut auth, "token", "token_plaintext");
            auth.close();
            Some(bearer(token?))
        }),
        (Some(_), Some(auth)) => {
            auth.report("a second credential", "exactly one of `api_key_auth` and `bearer_token_auth`");
            None
        }
        (None, None) => {
            custom.report_missing("bearer_token_auth", "this, or `api_key_auth`");
            None
        }
    };
    custom.close();
    Some(Server { provider: Provider::Custom, credential: credential?, upstream: upstream? })
}

fn api_key_auth(field: &Field<'_>) -> Option<Credential> {
    let mut auth = field.object()?;
    let name = auth.read("key", "the header's name", |key| {
        key.matching("the name of a header that holds nothing but the key, in letters, digits, `-` and `_`", |name| {
            let own = ["x-weir-", "x-envoy-", "x-forwarded-", "content-", "accept", "transfer-", "proxy-"];
            let others = ["connection", "host", "te", "traceparent", "tracestate", "trailer", "upgrade", "user-agent"];
            let lower = name.to_ascii_lowercase();
            !own.iter().any(|prefix| lower.starts_with(prefix))
                && !others.contains(&&*lower)
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        })
    });
    let value = secret::plain_of(&mut auth, "value", "value_plaintext");
    auth.close();
    Some(Credential::Header { name: name?.to_ascii_lowercase().into(), value: value? })
}

pub(super) fn databricks(field: &Field<'_>) -> Option<Server> {
    let mut databricks = field.object()?;
    let expected = "the workspace's URL";
    let upstream =
        databricks.read("databricks_workspace_url", expected, |url| ending_before(url, &["/serving-endpoints"]));
    let token = secret::bearer_of(&mut databricks, "databricks_api_token", "databricks_api_token_plaintext");
    databricks.close();
    Some(Server { provider: Provider::Databricks, credential: bearer(token?), upstream: upstream? })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum OpenAiType {
    Azure,
    AzureAd,
    OpenAi,
}

pub(super) fn openai(field: &Field<'_>) -> Option<Server> {
    let mut openai = field.object()?;
    let kind = openai.read_or("openai_api_type", OpenAiType::OpenAi, |kind| {
        kind.choice(&[("openai", OpenAiType::OpenAi), ("azure", OpenAiType::Azure), ("azuread", OpenAiType::AzureAd)])
    });
    // Another kind of server takes other keys: one error is enough.
    let server = match kind? {
        OpenAiType::Azure => azure(&mut openai, azure_key),
        OpenAiType::AzureAd => azure(&mut openai, entra),
        OpenAiType::OpenAi => openai_itself(&mut openai),
    };
    openai.close();
    server
}

const ENTRA_KEYS: &[&str] = &[
    "microsoft_entra_api_base",
    "microsoft_entra_client_id",
    "microsoft_entra_client_secret",
    "microsoft_entra_client_secret_plaintext",
    "microsoft_entra_tenant_id",
];
const AZURE_KEYS: &[&str] = &["openai_api_version", "openai_deployment_name"];

pub(super) fn reject_keys(openai: &mut Object<'_>, keys: &[&'static str], expected: &str) {
    for key in keys {
        if let Some(field) = openai.take(key) {
            field.reject_unseen(expected);
        }
    }
}

fn openai_itself(openai: &mut Object<'_>) -> Option<Server> {
    reject_keys(openai, ENTRA_KEYS, "no such key without `openai_api_type: azuread`");
    reject_keys(openai, AZURE_KEYS, "no such key without `openai_api_type: azure`");
    let authorization = secret::bearer_of(openai, "openai_api_key", "openai_api_key_plaintext");
    let upstream = openai.read_or("openai_api_base", known("api.openai.com", "/v1"), |base| {
        let upstream = ending_before(base, &["/chat/completions"])?;
        if upstream.host == "api.openai.com" && upstream.path_prefix.is_empty() {
            base.warn(base.node.show(), "`https://api.openai.com/v1`: OpenAI's API begins at `/v1`");
        }
        Some(upstream)
    });
    let organization = openai.read_if("openai_organization", |organization| {
        let expected = "visible ASCII characters: it goes into a header";
        organization.matching(expected, |text| text.bytes().all(|b| b.is_ascii_graphic())).map(str::to_owned)
    });
    let provider = Provider::OpenAi { organization: organization? };
    Some(Server { provider, credential: bearer(authorization?), upstream: upstream? })
}

/// `credential`: made for the server at the base, where that could be read.
fn azure(
    openai: &mut Object<'_>,
    credential: impl FnOnce(&mut Object<'_>, Option<&Upstream>) -> Option<Credential>,
) -> Option<Server> {
    reject_keys(openai, &["openai_organization"], "no such key: Azure knows no organizations");
    let expected = "the resource's URL, such as https://NAME.openai.azure.com";
    let upstream = openai.read("openai_api_base", expected, |base| ending_before(base, &["/openai", "/openai/v1"]));
    let credential = credential(openai, upstream.as_ref());
    let deployment = openai.read("openai_deployment_name", "the deployment's name", in_path);
    let api_version = openai.read("openai_api_version", "a version such as 2024-10-21", in_path);
    let provider = Provider::Azure { deployment: deployment?, api_version: api_version? };
    Some(Server { provider, credential: credential?, upstream: upstream? })
}

fn azure_key(openai: &mut Object<'_>, _: Option<&Upstream>) -> Option<Credential> {
    reject_keys(openai, ENTRA_KEYS, "no such key without `openai_api_type: azuread`");
    let value = secret::plain_of(openai, "openai_api_key", "openai_api_key_plaintext");
    Some(Credential::Header { name: "api-key".into(), value: value? })
}

/// A token of Microsoft Entra ID for a client of the tenant.
fn entra(openai: &mut Object<'_>, azure: Option<&Upstream>) -> Option<Credential> {
    reject_keys(openai, &["openai_api_key", "openai_api_key_plaintext"], "no such key with `openai_api_type: azuread`");
    let tenant = openai.read("microsoft_entra_tenant_id", "the tenant's id", in_path);
    let id = openai.read("microsoft_entra_client_id", "the client's id", in_path);
    let secret = secret::text_of(openai, "microsoft_entra_client_secret", "microsoft_entra_client_secret_plaintext");
    // Azure's national clouds have names, and servers of tokens, of their own.
    let cloud =
        azure.and_then(|azure| ["us", "cn"].into_iter().find(|top| azure.host.ends_with(&format!("azure.{top}"))));
    let (login, top) = match cloud {
        Some("us") => ("login.microsoftonline.us", "us"),
        Some(top) => ("login.chinacloudapi.cn", top),
        None => ("login.microsoftonline.com", "com"),
    };
    let base = openai.read_or("microsoft_entra_api_base", known(login, ""), |base| ending_before(base, &["/token"]));
    let (mut upstream, tenant) = (base?, tenant?);
    upstream.path_prefix.push_str(&format!("/{tenant}/oauth2/v2.0/token"));
    let scope = format!("https://cognitiveservices.azure.{top}/.default");
    Some(Credential::Fetched(Box::new(Grant::new(upstream, Kind::Client { id: id?, secret: secret?, scope }))))
}

fn in_path(field: &Field<'_>) -> Option<String> {
    let expected = "letters, digits, `-`, `_` and `.`: it goes into the path";
    let valid = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    field.matching(expected, valid).map(str::to_owned)
}

fn bearer(value: crate::config::Secret) -> Credential {
    Credential::Header { name: "authorization".into(), value }
}

/// A base that ends before the API's own path.
pub(super) fn ending_before(field: &Field<'_>, paths: &[&str]) -> Option<Upstream> {
    let upstream = url::read(field)?;
    match paths.iter().find(|path| upstream.path_prefix.ends_with(**path)) {
        Some(path) => {
            field.reject(format!("a base that ends before `{path}`"));
            None
        }
        None => Some(upstream),
    }
}

pub(super) fn known(host: &str, path_prefix: &str) -> Upstream {
    Upstream {
        tls: true,
        host: host.to_owned(),
        port: 443,
        authority: host.to_owned(),
        path_prefix: path_prefix.to_owned(),
    }
}
