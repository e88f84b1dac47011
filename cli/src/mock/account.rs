//! A Google service account, as the mock's token endpoint knows it: the account's JSON file comes in, and whether an assertion was
//! signed with its key goes out. The private key itself is not kept.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rsa::KeyPair;
use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde::Deserialize;

/// Whose assertions are taken.
#[derive(Clone, Debug)]
pub struct Account {
    pub email: String,
    /// In DER, as PKCS #1 has it.
    public_key: Vec<u8>,
}

/// What of the file is read.
#[derive(Deserialize)]
struct File {
    client_email: String,
    /// PEM of PKCS #8.
    private_key: String,
}

impl Account {
    /// Reads the file that Google gives for a service account. The error never holds any of the key.
    pub fn read(path: &str) -> Result<Self, String> {
        let wrong = |why: String| format!("{path}: {why}");
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        Self::from_json(&text).map_err(wrong)
    }

    fn from_json(text: &str) -> Result<Self, String> {
        let expected = "expected a service account's JSON with client_email and private_key (PEM of PKCS #8, RSA)";
        let File { client_email, private_key } = serde_json::from_str(text).map_err(|_| expected.to_owned())?;
        let lines = private_key.lines().map(str::trim).filter(|line| !line.starts_with("-----"));
        let der = STANDARD.decode(lines.collect::<String>()).map_err(|_| expected.to_owned())?;
        let pair = KeyPair::from_pkcs8(&der).map_err(|why| format!("{expected}; its key: {why}"))?;
        Ok(Self { email: client_email, public_key: pair.public_key().as_ref().to_vec() })
    }

    /// Whether these bytes were signed (RS256) with the account's key.
    pub fn signed(&self, bytes: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.public_key).verify(bytes, signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_file_is_told_without_its_key() {
        for text in
            ["{}", r#"{"client_email":"a","private_key":"c2VjcmV0"}"#, r#"{"client_email":"a","private_key":"%"}"#]
        {
            let error = Account::from_json(text).expect_err(text);
            assert!(error.contains("expected a service account") && !error.contains("c2VjcmV0"), "{error}");
        }
        assert!(Account::read("/no/such/file").is_err_and(|why| why.starts_with("/no/such/file: ")));
    }
}
