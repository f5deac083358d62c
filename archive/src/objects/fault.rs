//! What is wrong with an object store, in words by which somebody can put it right.

use std::time::Duration;

use object_store::Error;

use super::MARKER;

/// What an S3 service says when it will do the same later.
const PASSING: [&str; 5] =
    ["InternalError", "OperationAborted", "RequestTimeout", "ServiceUnavailable", "SlowDown"];

/// Where a machine of a cloud asks in whose name its programs act.
const METADATA: &str = "http://169.254.169.254/";

/// Why an object store is not used.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// It holds no objects of any deployment.
    #[error("the object store has no {MARKER}: is it the right one, and mounted?")]
    Nobody,
    /// It holds the objects of another deployment.
    #[error(
        "the object store belongs to another deployment: it was made with salt {found} and this \
         deployment has {expected}; give this one a directory or prefix of its own"
    )]
    Other {
        /// The salt of the deployment that it belongs to.
        found: String,
        /// The salt of this deployment.
        expected: String,
    },
    /// The marker cannot be read.
    #[error("the marker {MARKER} of the object store cannot be read")]
    Marker(#[source] serde_json::Error),
    /// There is no such bucket.
    #[error("there is no such bucket: create it, or correct --object-store")]
    NoBucket,
    /// The service does not let these credentials do what is needed.
    #[error(
        "the credentials are refused ({code}): set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to \
         those of somebody who may get, put, list and delete objects there"
    )]
    Refused {
        /// What the service calls it.
        code: String,
    },
    /// Nobody said in whose name the service is asked.
    #[error(
        "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; this machine \
         gives its programs none by itself"
    )]
    NoCredentials,
    /// The bucket is in another region.
    #[error("the bucket is in another region ({code}): set AWS_REGION to the bucket's")]
    Region {
        /// What the service calls it.
        code: String,
    },
    /// A write whose condition does not hold is done all the same.
    #[error(
        "the object store ignores {header}, so two processes could overwrite what the other wrote: \
         use a service that has conditional writes"
    )]
    Unconditional {
        /// The header that states the condition.
        header: &'static str,
    },
    /// It takes connections, perhaps, but does not answer.
    #[error("the object store does not answer within {within:?}: does AWS_ENDPOINT name it?")]
    Silent {
        /// How long it was given.
        within: Duration,
    },
    /// The store cannot be reached, or fails.
    #[error("the object store does not answer: {}", last_cause(.0))]
    Store(Error),
}

impl From<Error> for BindError {
    fn from(error: Error) -> Self {
        // The error has the service's answer as text only.
        let said = error.to_string();
        let code = code_in(&said).map(str::to_owned);
        let or = |name: &str| code.clone().unwrap_or_else(|| name.to_owned());
        match (code.as_deref(), &error) {
            _ if said.contains(METADATA) => Self::NoCredentials,
            (Some("NoSuchBucket"), _) => Self::NoBucket,
            (
                Some(
                    "AuthorizationHeaderMalformed"
                    | "IllegalLocationConstraintException"
                    | "PermanentRedirect",
                ),
                _,
            ) => Self::Region { code: or("") },
            _ if said.contains("redirect without LOCATION") => Self::Region { code: or("301") },
            (_, Error::PermissionDenied { .. }) => Self::Refused { code: or("403") },
            (_, Error::Unauthenticated { .. }) => Self::Refused { code: or("401") },
            _ => Self::Store(error),
        }
    }
}

impl BindError {
    /// Whether the same question may be answered later, without anybody's doing here.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Store(error) => {
                code_in(&error.to_string()).is_none_or(|code| PASSING.contains(&code))
            }
            Self::Silent { .. } => true,
            Self::Nobody
            | Self::Other { .. }
            | Self::Marker(_)
            | Self::NoBucket
            | Self::NoCredentials
            | Self::Refused { .. }
            | Self::Region { .. }
            | Self::Unconditional { .. } => false,
        }
    }
}

/// What an error comes from: what wraps it says the same at length.
fn last_cause(error: &Error) -> String {
    let mut last: &dyn std::error::Error = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

/// The code in the answer of an S3 service.
fn code_in(said: &str) -> Option<&str> {
    let (_, rest) = said.split_once("<Code>")?;
    Some(rest.split_once("</Code>")?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &str) -> Error {
        Error::Generic { store: "S3", source: format!("403 Forbidden: {body}").into() }
    }

    #[test]
    fn what_a_service_says_is_told_in_words_that_help() {
        let gone = BindError::from(answer("<Error><Code>NoSuchBucket</Code></Error>"));
        assert!(matches!(gone, BindError::NoBucket) && !gone.may_pass(), "{gone:?}");
        let elsewhere = BindError::from(answer("<Error><Code>PermanentRedirect</Code></Error>"));
        assert!(matches!(elsewhere, BindError::Region { .. }), "{elsewhere:?}");
        let source = "<Error><Code>InvalidAccessKeyId</Code></Error>".into();
        let refused = BindError::from(Error::PermissionDenied { path: "x".to_owned(), source });
        assert!(matches!(&refused, BindError::Refused { code } if code == "InvalidAccessKeyId"));
        assert!(!refused.may_pass());
        for passing in ["", "<Error><Code>SlowDown</Code></Error>"] {
            let error = BindError::from(answer(passing));
            assert!(matches!(error, BindError::Store(_)) && error.may_pass(), "{error:?}");
        }
        let nobody = BindError::from(answer("PUT http://169.254.169.254/latest/api/token"));
        assert!(matches!(nobody, BindError::NoCredentials) && !nobody.may_pass(), "{nobody:?}");
        let bad = BindError::from(answer("<Error><Code>InvalidRequest</Code></Error>"));
        assert!(!bad.may_pass(), "{bad:?}");
    }
}
