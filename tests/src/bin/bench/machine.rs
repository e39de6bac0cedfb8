//! What the operating system counts: processor time and memory of processes, and of the machine.

use std::{collections::HashMap, fs, process, time::Instant};

use anyhow::{Context as _, Result};

/// Clock ticks per second in `/proc`; Linux shows 100 to programs whatever it uses itself.
const TICKS: f64 = 100.0;

/// Who used the processors during a measured window, in cores.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cores {
    /// The measured server with all its processes.
    pub(crate) server: f64,
    /// This program and the generators it started.
    pub(crate) load: f64,
    /// Everything else: databases, the upstream, the kernel's own work.
    pub(crate) rest: f64,
}

/// Counts from one moment to another.
#[derive(Debug)]
pub(crate) struct Watch {
    server: u32,
    since: Instant,
    before: Counts,
}

#[derive(Debug, Clone, Copy)]
struct Counts {
    server: f64,
    load: f64,
    machine: f64,
}

impl Watch {
    /// Begins to count what the process `server` uses.
    pub(crate) fn start(server: u32) -> Result<Self> {
        let before = Counts::now(server)?;
        Ok(Self { server, since: Instant::now(), before })
    }

    /// What was used since.
    pub(crate) fn stop(self) -> Result<Cores> {
        let after = Counts::now(self.server)?;
        let seconds = self.since.elapsed().as_secs_f64();
        let server = (after.server - self.before.server) / seconds;
        let load = (after.load - self.before.load) / seconds;
        let machine = (after.machine - self.before.machine) / seconds;
        Ok(Cores { server, load, rest: (machine - server - load).max(0.0) })
    }
}

impl Counts {
    fn now(server: u32) -> Result<Self> {
        let all = Stat::all()?;
        let own = all.get(&process::id()).context("no counters of this process")?;
        Ok(Self {
            server: tree(&all, server).map(|stat| stat.used).sum::<f64>() / TICKS,
            load: (own.used + own.used_by_ended_children) / TICKS,
            machine: machine_used()? / TICKS,
        })
    }
}

/// One process's line in `/proc`.
#[derive(Debug)]
struct Stat {
    parent: u32,
    used: f64,
    used_by_ended_children: f64,
}

impl Stat {
    fn all() -> Result<HashMap<u32, Self>> {
        let mut all = HashMap::new();
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            // A process may end between the two looks.
            let Ok(line) = fs::read_to_string(format!("/proc/{id}/stat")) else { continue };
            all.extend(Self::read(&line).map(|stat| (id, stat)));
        }
        Ok(all)
    }

    fn read(line: &str) -> Option<Self> {
        // The name comes first, in brackets, and may hold anything.
        let fields: Vec<&str> = line.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<f64>().ok();
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            used: number(11)? + number(12)?,
            used_by_ended_children: number(13)? + number(14)?,
        })
    }
}

/// A process and all below it.
fn tree(all: &HashMap<u32, Stat>, root: u32) -> impl Iterator<Item = &Stat> {
    let is_below = move |id: u32| {
        let mut at = Some(id);
        while let Some(id) = at.filter(|id| *id != root) {
            at = all.get(&id).map(|stat| stat.parent);
        }
        at.is_some()
    };
    all.iter().filter(move |(id, _)| is_below(**id)).map(|(_, stat)| stat)
}

/// Ticks in which any processor of the machine did something.
fn machine_used() -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().context("/proc/stat is empty")?;
    let ticks: Vec<f64> = line.split_whitespace().skip(1).flat_map(str::parse).collect();
    // user, nice, system, then idle and waiting for the disk, then two kinds of interrupts.
    Ok([0, 1, 2, 5, 6].iter().filter_map(|at| ticks.get(*at)).sum())
}

/// Memory of the process that is in use, in MB (10^6 bytes).
pub(crate) fn resident_mb(process: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: f64 = line
        .and_then(|line| line.split_whitespace().next())
        .context("no resident size")?
        .parse()?;
    Ok(kib * 1024.0 / 1e6)
}

/// The machine in a few words, without its name.
pub(crate) fn describe() -> Result<String> {
    let cores = std::thread::available_parallelism()?;
    let model = fs::read_to_string("/proc/cpuinfo")?;
    let model = model.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split_once(':')).map_or("unknown", |(_, it)| it.trim());
    let memory = fs::read_to_string("/proc/meminfo")?;
    let kib = memory.split_whitespace().nth(1).context("no memory size")?.parse::<f64>()?;
    Ok(format!("{cores} cores ({model}), {:.0} GiB of memory", kib / 1_048_576.0))
}
