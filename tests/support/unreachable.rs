//! An AWS that nobody can reach.

use aws_config::SdkConfig;

use crate::support::moto;

/// A port that was just free and where nobody listens.
pub(crate) async fn unreachable_aws() -> SdkConfig {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    moto::aws_config_for(&format!("http://127.0.0.1:{port}")).await
}
