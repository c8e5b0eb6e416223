//! A place where nobody answers.

use aws_config::SdkConfig;
use tokio::net::TcpSocket;

use crate::support::moto;

/// A port that is taken, so that nobody else gets it, and where nobody listens.
pub(crate) struct Nobody(TcpSocket);

impl Nobody {
    pub(crate) fn new() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
        Self(socket)
    }

    /// `http://…`, as long as this is kept.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.0.local_addr().expect("it is bound"))
    }

    /// An AWS there.
    pub(crate) async fn aws_config(&self) -> SdkConfig {
        moto::aws_config_for(&self.url()).await
    }
}
