//! The table that the benchmarks of the crate `wechat` print, read back.

/// One benchmark in one process.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wire {
    /// Its function, with its argument.
    pub(crate) name: String,
    /// Its median, with its unit.
    pub(crate) time: String,
    /// Bytes per second, with their unit, where bytes are counted.
    pub(crate) throughput: Option<String>,
}

/// Reads what divan printed: a tree of names with columns behind them, the third the median.
pub(crate) fn read(printed: &str) -> Vec<Wire> {
    let mut found: Vec<Wire> = Vec::new();
    let mut group = String::new();
    for line in printed.lines() {
        let Some((indent, row)) = line.split_once("─ ") else {
            let throughput = line.trim_start_matches(['│', ' ']).split('│').nth(2);
            if let (Some(last), Some(text)) = (found.last_mut(), throughput)
                && text.contains("B/s")
            {
                last.throughput = Some(text.trim().to_owned());
            }
            continue;
        };
        let mut columns = row.split('│');
        let name = columns.next().and_then(|first| first.split_whitespace().next());
        let (name, time) = (name.unwrap_or_default(), columns.nth(1).unwrap_or_default().trim());
        let is_nested = indent.chars().count() > 1;
        if time.is_empty() {
            name.clone_into(&mut group);
        } else {
            let name = if is_nested { format!("{group}({name})") } else { name.to_owned() };
            found.push(Wire { name, time: time.to_owned(), throughput: None });
        }
    }
    found
}
