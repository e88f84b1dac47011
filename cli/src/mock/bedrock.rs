//! Amazon Bedrock.

pub mod sigv4;
