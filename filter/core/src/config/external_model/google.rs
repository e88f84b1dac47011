//! `google_cloud_vertex_ai_config`: Vertex AI by a service account, or with `gemini_api_key` Google's public API.

use super::{
    Credential, Provider, Server,
    providers::{ending_before, known, reject_keys},
};
use crate::{
    config::{
        reader::{Field, Object},
        secret, url,
    },
    oauth::{Grant, Kind, ServiceAccount},
};

pub(super) fn vertex(field: &Field<'_>) -> Option<Server> {
    let mut google = field.object()?;
    let is_gemini = ["gemini_api_key", "gemini_api_key_plaintext"].iter().any(|key| field.node.entry(key).is_some());
    let server = if is_gemini { gemini(&mut google) } else { vertex_itself(&mut google) };
    google.close();
    server
}

const VERTEX_KEYS: &[&str] =
    &["google_cloud_vertex_ai_token_url", "private_key", "private_key_plaintext", "project_id", "region"];

fn gemini(google: &mut Object<'_>) -> Option<Server> {
    reject_keys(google, VERTEX_KEYS, "no such key with `gemini_api_key`");
    let key = secret::plain_of(google, "gemini_api_key", "gemini_api_key_plaintext");
    let own = known("generativelanguage.googleapis.com", "");
    let upstream =
        google.read_or("google_cloud_vertex_ai_api_base", own, |base| ending_before(base, &["/v1beta", "/v1"]));
    let credential = Credential::Header { name: "x-goog-api-key".into(), value: key? };
    Some(Server { provider: Provider::Gemini, credential, upstream: upstream? })
}

fn vertex_itself(google: &mut Object<'_>) -> Option<Server> {
    let in_path = |field: &Field<'_>| {
        let expected = "letters, digits, `-`, `.` and `:`: it goes into the path";
        let valid = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b':'));
        field.matching(expected, valid).map(str::to_owned)
    };
    let project = google.read("project_id", "the Google Cloud project's id", in_path);
    let region = google.read("region", "a region such as us-central1, or `global`", in_path);
    let own = region.as_deref().map(host).map(|host| known(&host, ""));
    let upstream = match own {
        Some(own) => {
            google.read_or("google_cloud_vertex_ai_api_base", own, |base| ending_before(base, &["/v1", "/v1beta1"]))
        }
        None => {
            google.pass_over(&["google_cloud_vertex_ai_api_base"]);
            None
        }
    };
    let own = known("oauth2.googleapis.com", "/token");
    let tokens = google.read_or("google_cloud_vertex_ai_token_url", own, url::read);
    let account = service_account(google);
    let provider = Provider::Vertex { project: project?, region: region? };
    let credential = Credential::Fetched(Box::new(Grant::new(tokens?, Kind::ServiceAccount(account?))));
    Some(Server { provider, credential, upstream: upstream? })
}

/// The whole world's host, one of a continent, or a region's own.
fn host(region: &str) -> String {
    match region {
        "global" => "aiplatform.googleapis.com".to_owned(),
        "eu" | "us" => format!("aiplatform.{region}.rep.googleapis.com"),
        _ => format!("{region}-aiplatform.googleapis.com"),
    }
}

/// `Some(None)`: the secret is missing, and may be, since no request is served here.
fn service_account(google: &mut Object<'_>) -> Option<Option<ServiceAccount>> {
    let file = secret::text_of(google, "private_key", "private_key_plaintext")?;
    if file.expose().is_empty() {
        return Some(None);
    }
    let account = ServiceAccount::from_json(file.expose());
    if account.is_none()
        && let Some(field) = google.take("private_key").or_else(|| google.take("private_key_plaintext"))
    {
        field.reject_unseen(
            "a service account's key file, all of its JSON: with `client_email` and an RSA `private_key` of 2048 to 4096 bits",
        );
    }
    account.map(Some)
}
