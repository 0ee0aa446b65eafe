//! `compute serve`: computes and stacks over HTTP, until it is told to stop.

use std::io;

use compute::Manager;
use compute_server::{Server, Settings};
use compute_wasm::NAME;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::{Cli, ServeArgs};
use crate::context;
use crate::failure::Failure;
use crate::state::Place;

pub(crate) fn serve(cli: &Cli, args: &ServeArgs) -> Result<(), Failure> {
    if !args.dev {
        return Err(Failure::usage(
            "there are no tokens yet, so a server answers whoever asks: say so with --dev",
        ));
    }
    if !args.listen.ip().is_loopback() {
        return Err(Failure::usage(format!(
            "with --dev it listens to this machine only, and {} is more: use 127.0.0.1",
            args.listen.ip()
        )));
    }
    let place = Place::new(cli, args.state.state.as_deref())?;
    let settings = Settings::default();
    let calls = u16::try_from(settings.places).unwrap_or(u16::MAX);
    let manager = Manager::builder().engine(NAME, context::engine_config(calls)?);
    let store = compute_store::open(&place.store)?;
    let server = Server::new(store, place.catalogue()?, place.traces(), manager, settings);

    let failed = |error: io::Error| Failure::Host(format!("the server failed: {error}"));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(async {
        let listener = TcpListener::bind(args.listen).await.map_err(|error| {
            Failure::usage(format!("cannot listen on {}: {error}", args.listen))
        })?;
        let address = listener.local_addr().map_err(failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        anstream::eprintln!("listening on http://{address}; ctrl-c ends it");
        let told = async move {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            anstream::eprintln!("finishing what was accepted");
        };
        compute_server::serve(listener, server, told).await.map_err(|error| Failure::host(&error))
    })
}
