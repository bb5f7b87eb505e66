//! Serves a data directory: `cargo run -p grapevine-embedded --example serve -- DIR ADDRESS`.
//! The accounts are `default` and `reader`, both with the password of `GRAPEVINE_PASSWORD`.

use std::path::{Path, PathBuf};

use grapevine_embedded::{
    Account, Accounts, EmbeddedServer, EngineLibrary, Limits, Role, ServerOptions, cache_dir,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(dir), Some(address)) = (args.next(), args.next()) else {
        return Err("usage: serve DIR ADDRESS".into());
    };
    let password = std::env::var("GRAPEVINE_PASSWORD")
        .map_err(|_| "set GRAPEVINE_PASSWORD to the password of both accounts")?;
    let path = std::env::var_os("GRAPEVINE_ENGINE").map(PathBuf::from);
    let cache = cache_dir().ok_or("set HOME or GRAPEVINE_CACHE")?;
    let library = EngineLibrary::obtain(path.as_deref(), &cache, |_| ())?;
    let account = |name: &str, role| Account {
        name: name.to_owned(),
        password: password.clone(),
        role,
    };
    let options = ServerOptions {
        accounts: Accounts::new(vec![
            account("default", Role::Owner),
            account("reader", Role::Reader),
        ])?,
        allowed_hosts: Vec::new(),
        allowed_origins: Vec::new(),
        limits: Limits::default(),
    };
    let listener = std::net::TcpListener::bind(address)?;
    let server = EmbeddedServer::start(library, Path::new(&dir), listener, options)?;
    tokio::signal::ctrl_c().await?;
    server.stop()?;
    Ok(())
}
