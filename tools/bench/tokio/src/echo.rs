// SPDX-License-Identifier: Apache-2.0

// The echo server on tokio: one task for each connection.
//
//	bench_tokio_echo WORKERS ADDRESS
use std::io::Write;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn echo(mut c: TcpStream) {
    let mut buf = [0u8; 4096];
    loop {
        match c.read(&mut buf).await {
            Ok(n) if n > 0 => {
                if c.write_all(&buf[..n]).await.is_err() {
                    return;
                }
            }
            _ => return,
        }
    }
}

async fn serve(address: String) {
    let l = TcpListener::bind(address).await.expect("cannot listen");
    println!("listening on {}", l.local_addr().unwrap());
    std::io::stdout().flush().unwrap();
    loop {
        if let Ok((c, _)) = l.accept().await {
            let _ = c.set_nodelay(true);
            tokio::spawn(echo(c));
        }
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if args.len() != 3 {
        eprintln!("usage: bench_tokio_echo WORKERS ADDRESS");
        std::process::exit(2);
    }
    let workers: usize = args[1].parse().expect("WORKERS: give a number from 1");
    let rt = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .unwrap();
    let address = args[2].clone();
    rt.block_on(async move { tokio::spawn(serve(address)).await.unwrap() });
}
