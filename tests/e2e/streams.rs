//! Bodies of any size pass through in both directions, and none of them is held.

use std::fs;

use anyhow::{Context as _, Result};
use lingpai_emulator::EmulatorConfig;
use lingpai_tests::{people::Program, raw, sdk::Sdk, site::Site, world::SHOP};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// The body whose passing must not be seen in the memory of the process.
const LARGE: usize = 64 * 1024 * 1024;

/// Bodies that fill every buffer on the way: what a process keeps after these it keeps for good.
const WARM_UP: usize = 2 * 1024 * 1024;

/// How often they are sent each way before the memory is looked at.
const ROUNDS: usize = 12;

/// The most that the process may grow by.
const MOST_GROWTH_KIB: u64 = 4 * 1024;

/// Pieces that bodies are written and read in.
const PIECE: usize = 64 * 1024;

const FORM: (&str, &str) = (
    "--x\r\nContent-Disposition: form-data; name=\"media\"; filename=\"a.jpg\"\r\n\
     Content-Type: image/jpeg\r\n\r\n",
    "\r\n--x--\r\n",
);

/// WeChat, which takes files of any size for once.
fn wechat() -> EmulatorConfig {
    let mut config = EmulatorConfig::for_tests();
    config.switches.largest_media_bytes = LARGE as u64;
    config
}

/// A way in: the beginning of targets, what goes behind paths, and a header line.
struct Entrance {
    prefix: String,
    query: String,
    header: String,
}

impl Entrance {
    async fn both(site: &Site, tenant: &Program) -> Result<[Self; 2]> {
        let host = format!("{}gateway", site.process.url);
        let token = Sdk::new(&host, SHOP, tenant.key()).token().await?;
        let proxy = Self {
            prefix: format!("/v1/authorizers/{SHOP}/proxy"),
            query: String::new(),
            header: format!("Authorization: Bearer {}", tenant.key()),
        };
        let query = format!("&access_token={token}");
        let gateway =
            Self { prefix: "/gateway".to_owned(), query, header: "Accept: */*".to_owned() };
        Ok([proxy, gateway])
    }

    /// Uploads a file of `size` bytes and gives its media id and its digest.
    async fn upload(&self, address: &str, size: usize) -> Result<(String, String)> {
        let (prefix, query) = (&self.prefix, &self.query);
        let line = format!("POST {prefix}/cgi-bin/media/upload?type=image{query} HTTP/1.1");
        let length = format!("Content-Length: {}", FORM.0.len() + size + FORM.1.len());
        let kind = "Content-Type: multipart/form-data; boundary=x";
        let head = raw::head(line.as_bytes(), address, &[&self.header, &length, kind]);
        let mut stream = raw::open(address, &head).await?;
        let sent = write_form(&mut stream, size).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (_, body) = answer.split_once("\r\n\r\n").context("an answer has a head")?;
        let media: Value = serde_json::from_str(body).with_context(|| answer.clone())?;
        let id = media["media_id"].as_str().with_context(|| answer.clone())?;
        Ok((id.to_owned(), sent))
    }

    /// Fetches a file and gives its size and its digest.
    async fn download(&self, address: &str, media_id: &str) -> Result<(usize, String)> {
        let (prefix, query) = (&self.prefix, &self.query);
        let line = format!("GET {prefix}/cgi-bin/media/get?media_id={media_id}{query} HTTP/1.1");
        let head = raw::head(line.as_bytes(), address, &[&self.header]);
        let mut stream = raw::open(address, &head).await?;
        let (mut digest, first) = (Sha256::new(), head_of(&mut stream).await?);
        digest.update(&first);
        let (mut count, mut piece) = (first.len(), vec![0; PIECE]);
        loop {
            let read = stream.read(&mut piece).await?;
            if read == 0 {
                return Ok((count, hex(digest)));
            }
            digest.update(&piece[..read]);
            count += read;
        }
    }

    async fn there_and_back(&self, address: &str, size: usize) -> Result<()> {
        let (media_id, sent) = self.upload(address, size).await?;
        let got = self.download(address, &media_id).await?;
        assert_eq!(got, (size, sent), "the bytes are equal");
        Ok(())
    }
}

fn hex(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes the form and gives the digest of the file in it.
async fn write_form(stream: &mut TcpStream, size: usize) -> Result<String> {
    let mut digest = Sha256::new();
    stream.write_all(FORM.0.as_bytes()).await?;
    // No piece is like the one before, so that none can be lost or doubled unseen.
    let mut piece: Vec<u8> = (0..PIECE).map(|at| (at % 251) as u8).collect();
    let mut left = size;
    while left > 0 {
        let next = left.min(PIECE);
        digest.update(&piece[..next]);
        stream.write_all(&piece[..next]).await?;
        left -= next;
        piece.rotate_left(7);
    }
    stream.write_all(FORM.1.as_bytes()).await?;
    Ok(hex(digest))
}

/// Reads the head of an answer and gives what came of its body along with it.
async fn head_of(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let mut piece = vec![0; PIECE];
        let read = stream.read(&mut piece).await?;
        anyhow::ensure!(read > 0, "the answer ended in its head");
        bytes.extend_from_slice(&piece[..read]);
        if let Some(end) = bytes.windows(4).position(|it| it == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            assert!(head.starts_with("http/1.1 200"), "{head}");
            assert!(head.contains("content-length: "), "the length is told: {head}");
            return Ok(bytes.split_off(end + 4));
        }
    }
}

/// Memory of a process in KiB: what it holds, and the most it ever held.
fn memory(process: u32) -> Result<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let field = |name: &str| -> Result<u64> {
        let line = status.lines().find(|line| line.starts_with(name));
        let line = line.with_context(|| format!("no {name} in {status}"))?;
        let figure = line.split_whitespace().nth(1).context("a field has a figure")?;
        Ok(figure.parse()?)
    };
    Ok((field("VmRSS:")?, field("VmHWM:")?))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_mebibytes_pass_both_ways_and_the_process_does_not_grow() -> Result<()> {
    let site = Site::open(wechat(), &[]).await?;
    let tenant = site.authorized(SHOP).await?;
    let address = site.process.url.authority().to_owned();
    let entrances = Entrance::both(&site, &tenant).await?;
    for _ in 0..ROUNDS {
        for entrance in &entrances {
            entrance.there_and_back(&address, WARM_UP).await?;
        }
    }
    let (held, most) = memory(site.process.id())?;
    for entrance in &entrances {
        entrance.there_and_back(&address, LARGE).await?;
    }
    let (held_now, most_now) = memory(site.process.id())?;
    assert!(
        most_now < most + MOST_GROWTH_KIB,
        "the process held {most} KiB at most before, {most_now} KiB with 64 MiB on the way"
    );
    assert!(held_now < held + MOST_GROWTH_KIB, "{held} KiB before, {held_now} KiB afterwards");
    Ok(())
}

/// A body that the other side never takes is not collected here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_nobody_reads_waits_at_wechat() -> Result<()> {
    let site = Site::open(wechat(), &[]).await?;
    let tenant = site.authorized(SHOP).await?;
    let address = site.process.url.authority().to_owned();
    let entrances = Entrance::both(&site, &tenant).await?;
    for _ in 0..ROUNDS {
        for entrance in &entrances {
            entrance.there_and_back(&address, WARM_UP).await?;
        }
    }
    let (_, most) = memory(site.process.id())?;
    let mut readers = Vec::new();
    for entrance in entrances.iter().cycle().take(4) {
        let Entrance { prefix, query, header } = entrance;
        let line = format!("GET {prefix}/wxa/emulator/bytes?size={LARGE}{query} HTTP/1.1");
        let head = raw::head(line.as_bytes(), &address, &[header]);
        let mut stream = raw::open(&address, &head).await?;
        // The head and the first bytes are there; the rest stays where it is.
        head_of(&mut stream).await?;
        readers.push(stream);
    }
    let shown = tenant.get("/v1/authorizers").await?;
    assert!(shown.status.is_success(), "{}", shown.text);
    let (_, most_now) = memory(site.process.id())?;
    // Each way has its own buffers; what waits in them is far from what is waiting.
    let bound = most + 4 * MOST_GROWTH_KIB;
    assert!(most_now < bound, "{most} KiB before, {most_now} KiB with 256 MiB on the way");
    drop(readers);
    Ok(())
}
