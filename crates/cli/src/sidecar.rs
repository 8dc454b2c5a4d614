//! The plan beside the rows of a shard: what tells those who join shards which cells there are, in which order, and whether all shards mean the same ones.
//!
//! It stands in a file of its own, `rows-K-of-N.plan.json`, since the bytes of the rows are those of an undivided run.

use crate::output::replace;
use crate::studies::{Planned, Recipe};
use anyhow::{Context, Result, anyhow, bail};
use gradchain_study::{Balance, SCHEMA_VERSION, Shard};
use serde_json::{Value as Json, json};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What stands beside the rows of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sidecar {
    /// The version of gradchain that planned.
    pub(crate) version: String,
    pub(crate) recipe: Recipe,
    /// The hash of the plan.
    pub(crate) plan: String,
    pub(crate) shard: Shard,
    pub(crate) balance: Balance,
}

impl Sidecar {
    pub(crate) fn new(planned: &Planned, shard: Shard, balance: Balance) -> Sidecar {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Sidecar { version, recipe: planned.recipe.clone(), plan: planned.hash.clone(), shard, balance }
    }

    /// The file beside the rows in the file `rows`.
    fn path(rows: &Path) -> PathBuf {
        rows.with_extension("plan.json")
    }

    /// Writes it beside the rows in the file `rows`.
    pub(crate) fn write(&self, rows: &Path) -> Result<()> {
        let json = json!({
            "schema_version": SCHEMA_VERSION,
            "version": self.version,
            "study": self.recipe.name,
            "plan": self.plan,
            "shard": self.shard.to_string(),
            "balance": self.balance.name(),
            "place": self.recipe.place,
            "directory": self.recipe.directory.to_string_lossy(),
            "set": self.recipe.set,
            "draws": self.recipe.draws,
            "seed": self.recipe.seed,
            "text": self.recipe.text,
        });
        replace(&Sidecar::path(rows), [serde_json::to_string_pretty(&json)?.as_str(), "\n"])
    }

    /// Reads what stands beside the rows in the file `rows`; none if there is nothing.
    pub(crate) fn beside(rows: &Path) -> Result<Option<Sidecar>> {
        let path = Sidecar::path(rows);
        match fs::read(&path) {
            Ok(text) => Sidecar::parse(&text).map(Some).with_context(|| path.display().to_string()),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e).with_context(|| path.display().to_string()),
        }
    }

    fn parse(text: &[u8]) -> Result<Sidecar> {
        let json: Json = serde_json::from_slice(text).context("no JSON")?;
        let text = |name: &str| {
            let text = json.get(name).and_then(Json::as_str).map(str::to_owned);
            text.ok_or_else(|| anyhow!("`{name}` is missing or no text"))
        };
        let number = |name: &str| {
            let number = json.get(name).and_then(Json::as_u64);
            number.ok_or_else(|| anyhow!("`{name}` is missing or no count"))
        };
        let schema = number("schema_version")?;
        if schema != SCHEMA_VERSION {
            bail!("schema_version is {schema}; this program reads {SCHEMA_VERSION}");
        }
        let set = json.get("set").and_then(Json::as_array).context("`set` is missing or no list")?;
        let set =
            set.iter().map(|one| one.as_str().map(str::to_owned).context("`set` holds what is no text"));
        let balance = text("balance")?;
        let known = || Balance::NAMED.map(|(name, _)| name).join(", ");
        let named = Balance::NAMED.iter().find(|(name, _)| *name == balance);
        let (_, balance) =
            named.with_context(|| format!("unknown balance `{balance}`; known: {}", known()))?;
        Ok(Sidecar {
            version: text("version")?,
            plan: text("plan")?,
            shard: text("shard")?.parse().map_err(anyhow::Error::msg)?,
            balance: *balance,
            recipe: Recipe {
                name: text("study")?,
                place: text("place")?,
                directory: text("directory")?.into(),
                text: text("text")?,
                set: set.collect::<Result<_>>()?,
                draws: number("draws")?,
                seed: number("seed")?,
            },
        })
    }

    /// Plans the study once more.
    ///
    /// # Errors
    /// If another version of the program planned, or other cells come out: then a network file has changed.
    pub(crate) fn planned(&self, rows: &Path) -> Result<Planned> {
        let place = || rows.display().to_string();
        if self.version != env!("CARGO_PKG_VERSION") {
            bail!("{}: measured by version {}, this is {}", place(), self.version, env!("CARGO_PKG_VERSION"));
        }
        let planned = self.recipe.clone().plan().with_context(place)?;
        if planned.hash != self.plan {
            bail!(
                "{}: rows of plan {}, but the plan beside them gives {}: a network file that it names has changed, or the file was edited",
                place(),
                self.plan,
                planned.hash
            );
        }
        Ok(planned)
    }

    /// Refuses the rows in the file `rows` if they are of another plan than `hash`, which `options` made.
    pub(crate) fn demand(&self, rows: &Path, hash: &str, recipe: &Recipe) -> Result<()> {
        if self.plan == hash {
            return Ok(());
        }
        let (theirs, ours) = (self.recipe.options(), recipe.options());
        let reason = match (theirs == ours, self.version != env!("CARGO_PKG_VERSION")) {
            (_, true) => {
                format!("measured by version {}, this is {}", self.version, env!("CARGO_PKG_VERSION"))
            }
            (true, false) => format!("`{ours}` in both, but the study file has changed"),
            (false, false) => format!("`{theirs}` there, `{ours}` here"),
        };
        bail!("{}: rows of plan {}, not of plan {hash}: {reason}", rows.display(), self.plan)
    }
}
