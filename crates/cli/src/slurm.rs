//! `--shard`: K/N, or what the job array of Slurm says.

use gradchain_study::Shard;
use std::env;

/// The shard that `text` names.
///
/// `slurm` is for an array without gaps: K is the place of the task among the tasks, N is how many there are. `slurm/N` fixes N, and K is the task id itself:
/// so the shards keep their numbers when some of them are submitted again.
pub(crate) fn shard(text: &str) -> Result<Shard, String> {
    in_environment(text, &|name| env::var(name).ok())
}

type Environment<'a> = dyn Fn(&str) -> Option<String> + 'a;

fn in_environment(text: &str, variable: &Environment<'_>) -> Result<Shard, String> {
    let number = |name: &str| {
        let value = variable(name)
            .ok_or(format!("`{text}`: {name} is not set: this is no task of a Slurm job array"))?;
        value.parse::<usize>().map_err(|_| format!("`{text}`: {name} is `{value}`; allowed: integers from 0"))
    };
    match text.strip_prefix("slurm") {
        Some("") => {
            let task = number("SLURM_ARRAY_TASK_ID")?;
            let (first, count) = (number("SLURM_ARRAY_TASK_MIN")?, number("SLURM_ARRAY_TASK_COUNT")?);
            let last = number("SLURM_ARRAY_TASK_MAX")?;
            let step =
                variable("SLURM_ARRAY_TASK_STEP").map_or(Ok(1), |_| number("SLURM_ARRAY_TASK_STEP"))?.max(1);
            let gaps =
                last < first || (last - first) / step + 1 != count || !(last - first).is_multiple_of(step);
            if gaps || !(first..=last).contains(&task) || !(task - first).is_multiple_of(step) {
                return Err(format!(
                    "`slurm`: the array {first}..{last} of {count} tasks has gaps, so that no task knows its shard; say `slurm/N`, \
                     with N as in the first submission"
                ));
            }
            Shard::new((task - first) / step + 1, count)
        }
        Some(of) if of.starts_with('/') => {
            let task = number("SLURM_ARRAY_TASK_ID")?;
            format!("{task}{of}")
                .parse::<Shard>()
                .map_err(|error| format!("`{text}`: {error}; number the array from 1 to N"))
        }
        _ => text.parse::<Shard>().map_err(|error| format!("{error}, `slurm` or `slurm/N`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The variables of a task as Slurm sets them.
    fn task(text: &str, id: &str, array: [&str; 4]) -> Result<String, String> {
        let [min, max, step, count] = array;
        let variable = |name: &str| {
            let value = match name {
                "SLURM_ARRAY_TASK_ID" => id,
                "SLURM_ARRAY_TASK_MIN" => min,
                "SLURM_ARRAY_TASK_MAX" => max,
                "SLURM_ARRAY_TASK_STEP" => step,
                "SLURM_ARRAY_TASK_COUNT" => count,
                _ => "",
            };
            (!value.is_empty()).then(|| value.to_owned())
        };
        in_environment(text, &variable).map(|shard| shard.to_string())
    }

    #[test]
    fn tasks_are_shards() {
        let ok = |text: &str| Ok(text.to_owned());
        assert_eq!(task("2/3", "", [""; 4]), ok("2/3"));
        // --array=1-16, --array=0-15, --array=0-12:4
        assert_eq!(task("slurm", "3", ["1", "16", "1", "16"]), ok("3/16"));
        assert_eq!(task("slurm", "0", ["0", "15", "", "16"]), ok("1/16"));
        assert_eq!(task("slurm", "8", ["0", "12", "4", "4"]), ok("3/4"));
        // --array=3,7 of what was 1-16.
        assert_eq!(task("slurm/16", "7", ["3", "7", "1", "2"]), ok("7/16"));
    }

    #[test]
    fn what_is_no_task_is_told() {
        for (text, id, array, part) in [
            ("slurm", "", [""; 4], "SLURM_ARRAY_TASK_ID is not set"),
            ("slurm/4", "", [""; 4], "SLURM_ARRAY_TASK_ID is not set"),
            ("slurm", "x", ["1", "2", "1", "2"], "SLURM_ARRAY_TASK_ID is `x`"),
            ("slurm", "7", ["3", "7", "1", "2"], "has gaps"),
            ("slurm", "9", ["1", "3", "1", "3"], "has gaps"),
            ("slurm/4", "0", ["0", "3", "1", "4"], "number the array from 1 to N"),
            ("slurm/x", "1", ["1", "3", "1", "3"], "`1/x` is no shard"),
            ("4/3", "", [""; 4], "`4/3` is no shard; allowed: K/N"),
            ("slurmy", "1", ["1", "3", "1", "3"], "`slurmy` is no shard"),
        ] {
            let message = task(text, id, array).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
