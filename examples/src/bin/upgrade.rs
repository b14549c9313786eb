//! Old and new programs together: what each makes of what the other says.
//!
//! `cargo run --bin upgrade` runs clients and servers of two versions of one interface, as processes, in all four
//! pairs, and prints what each client gets. The version of a program is the module that it was built with, `v1`
//! or `v2`. The second version adds
//!
//! - a method, with `#[since(2)]`: an old server answers `UnknownMethod`, and the client does without;
//! - a field to a `#[derive(ipcz::Message)]` struct: old programs skip it, and new ones take its default from them;
//! - a variant to an enum with an `#[unknown]` one, which is what old programs see instead.
//!
//! The methods also change places, which means nothing.

use std::error::Error;
use std::process::Command;

use ipcz::{CallError, Child, Node, Proxy};

/// What the first release was built with.
mod v1 {
    #[derive(ipcz::Message, Debug)]
    pub(crate) struct Forecast {
        pub(crate) degrees: i32,
        pub(crate) sky: Sky,
    }

    #[derive(ipcz::Message, Debug)]
    pub(crate) enum Sky {
        Clear,
        Clouds {
            percent: u8,
        },
        #[unknown]
        Other,
    }

    #[ipcz::interface(name = "example.Weather")]
    pub(crate) trait Weather {
        async fn today(&self, place: &str) -> Forecast;
        async fn report(&self, seen: Forecast) -> String;
    }
}

/// What the second release was built with.
mod v2 {
    #[derive(ipcz::Message, Debug)]
    pub(crate) struct Forecast {
        pub(crate) degrees: i32,
        pub(crate) sky: Sky,
        #[since(2)]
        pub(crate) wind: Option<u32>,
    }

    #[derive(ipcz::Message, Debug)]
    pub(crate) enum Sky {
        Clear,
        Clouds {
            percent: u8,
        },
        #[unknown]
        Other,
        #[since(2)]
        Fog,
    }

    #[ipcz::interface(name = "example.Weather")]
    pub(crate) trait Weather {
        async fn report(&self, seen: Forecast) -> String;
        async fn today(&self, place: &str) -> Forecast;
        #[since(2)]
        async fn days(&self, place: &str, count: u32) -> Vec<Forecast>;
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => story(),
        ["client", "v1", server] => old_client(server),
        ["client", "v2", server] => new_client(server),
        ["server", "v1"] => {
            let (_node, parent) = Node::from_parent()?;
            Ok(parent.bootstrap::<v1::WeatherReceiver>()?.serve_blocking(Station)?)
        }
        ["server", "v2"] => {
            let (_node, parent) = Node::from_parent()?;
            Ok(parent.bootstrap::<v2::WeatherReceiver>()?.serve_blocking(Station)?)
        }
        _ => Err("without arguments, this program tells its story".into()),
    }
}

fn story() -> Result<(), Box<dyn Error>> {
    for (client, server) in [("v1", "v1"), ("v1", "v2"), ("v2", "v1"), ("v2", "v2")] {
        println!("client {client}, server {server}:");
        let program = std::env::current_exe()?;
        let status = Command::new(program).args(["client", client, server]).status()?;
        if !status.success() {
            return Err(format!("the client ended with {status}").into());
        }
    }
    Ok(())
}

fn start_server<P: Proxy>(version: &str) -> Result<(Child, P), Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["server", version]);
    let mut server = Node::broker()?.spawn(command)?;
    server.kill_on_drop(true);
    let proxy: P = server.bootstrap()?;
    let there = proxy.version().wait()?;
    println!("  the interface is version {} here, {there} there", P::VERSION);
    Ok((server, proxy))
}

fn old_client(server: &str) -> Result<(), Box<dyn Error>> {
    let (_server, weather): (_, v1::WeatherProxy) = start_server(server)?;
    println!("  today: {:?}", weather.today("Bern").wait()?);
    println!("  at sea: {:?}", weather.today("at sea").wait()?);
    let seen = v1::Forecast { degrees: 9, sky: v1::Sky::Clouds { percent: 60 } };
    println!("  the server took: {}", weather.report(seen).wait()?);
    Ok(())
}

fn new_client(server: &str) -> Result<(), Box<dyn Error>> {
    let (_server, weather): (_, v2::WeatherProxy) = start_server(server)?;
    println!("  today: {:?}", weather.today("Bern").wait()?);
    println!("  at sea: {:?}", weather.today("at sea").wait()?);
    let seen = v2::Forecast { degrees: 9, sky: v2::Sky::Fog, wind: Some(40) };
    println!("  the server took: {}", weather.report(seen).wait()?);
    match weather.days("Bern", 3).wait() {
        Ok(days) => println!("  {} days ahead", days.len()),
        Err(error @ CallError::UnknownMethod(_)) => println!("  no days ahead: {error}"),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

struct Station;

impl v1::Weather for Station {
    async fn today(&self, _place: &str) -> v1::Forecast {
        v1::Forecast { degrees: 17, sky: v1::Sky::Clear }
    }

    async fn report(&self, seen: v1::Forecast) -> String {
        format!("{seen:?}")
    }
}

impl v2::Weather for Station {
    async fn today(&self, place: &str) -> v2::Forecast {
        let sky = if place == "at sea" { v2::Sky::Fog } else { v2::Sky::Clear };
        v2::Forecast { degrees: 17, sky, wind: Some(12) }
    }

    async fn report(&self, seen: v2::Forecast) -> String {
        format!("{seen:?}")
    }

    async fn days(&self, place: &str, count: u32) -> Vec<v2::Forecast> {
        let mut days = Vec::new();
        for _ in 0..count.min(10) {
            days.push(v2::Weather::today(self, place).await);
        }
        days
    }
}
