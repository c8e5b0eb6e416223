//! Parses the command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clerk_sandbox::{ChurnPlan, FaultRule, Population, Sandbox};

use crate::demo::DEFAULT_FOLDER;

/// What `--help` prints.
pub(crate) const USAGE: &str = "\
Serves a synthetic Clerk instance, read-only, until it is stopped. Prints its URL when it is ready.

Usage: clerk-sandbox [OPTIONS]
       clerk-sandbox demo [FOLDER]

  demo                    instead: copies a synthetic Clerk into FOLDER [./clerk-demo] with the
                          clerk-sync in the folder of this program, lets a day at work pass, copies
                          it again, and asks clerk-access what changed
  --address HOST:PORT     where to listen [127.0.0.1:0, any free port]
  --users N               [3000]
  --organizations N       [200]
  --memberships N         [6000]
  --roles N               [4]
  --permissions N         [12]
  --other-rows N          rows of each smaller list [3]
  --metadata-bytes N      added to each user's public metadata [0]
  --seed N                the same seed gives the same rows [1]
  --latency-ms N          every answer takes this long [0]
  --jitter-ms N           and up to this much longer [0]
  --travel-ms N           requests take up to this long to arrive [0]
  --workers N             process this many requests at once and queue the rest [no limit]
  --limit-per-10s N       answer more requests than this with 429 [no limit]
  --customer-traffic N    requests in ten seconds that the customer's own application sends,
                          at random times, within the same limit [0]
  --churn N               N inserts and N deletes in each list after every page [0]
  --key KEY               the only key accepted [sk_test_sandbox]
  --fault SPEC            a fault to inject; may be repeated:
                            PATH[?NAME[=VALUE]][@FIRST[-LAST]] EFFECT[:ARGUMENT]
                          such as '/v1/users@3 status:503', '/v1/users?starting_after@2- reset',
                          '* delay:200'. Effects: status:CODE[:ERROR_CODE] limit:SECONDS html:STATUS
                          body:TEXT malformed reset cut:BYTES delay:MS deep:MS truncate:ROWS
                          ignore:PARAMETER shift-total:N total:N drop:POINTER
  --help, --version

Outside of /v1 there are GET /sandbox/health, /sandbox/stats, /sandbox/rows/LIST (all rows, NDJSON), and
/sandbox/customer-traffic/N, /sandbox/latency-ms/N and /sandbox/limit-per-10s/N, which change that
number (no limit: 0). GET /sandbox/workday changes the instance as one day at work would: somebody
joins an organization, becomes its administrator, leaves, is banned or deleted, and an organization
is deleted.
";

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Request {
    Serve(Box<Arguments>),
    /// With the folder to copy into.
    Demo(PathBuf),
    Help,
    Version,
}

/// The options for serving.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) address: SocketAddr,
    population: Population,
    latency: Duration,
    jitter: Duration,
    travel: Duration,
    workers: usize,
    limit: Option<usize>,
    customer_traffic: usize,
    churn: usize,
    key: Option<String>,
    faults: Vec<FaultRule>,
}

impl Arguments {
    /// The sandbox with these options.
    pub(crate) fn sandbox(self) -> Sandbox {
        let seed = self.population.seed;
        let sandbox = Sandbox::new(self.population);
        sandbox.set_latency(self.latency, self.jitter);
        sandbox.set_travel(self.travel);
        sandbox.set_workers(self.workers);
        sandbox.set_customer_traffic(self.customer_traffic);
        if let Some(requests) = self.limit {
            sandbox.limit(requests, Duration::from_secs(10));
        }
        if self.churn > 0 {
            sandbox.churn(ChurnPlan {
                seed,
                inserts: self.churn,
                deletes: self.churn,
                ..ChurnPlan::default()
            });
        }
        if let Some(key) = self.key {
            sandbox.rotate_key(key);
        }
        for fault in self.faults {
            sandbox.fault(fault);
        }
        sandbox
    }
}

/// Parses the arguments after the program's name.
pub(crate) fn read(given: impl Iterator<Item = String>) -> Result<Request, BadArgument> {
    let mut arguments = Arguments {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        population: Population::demo(),
        latency: Duration::ZERO,
        jitter: Duration::ZERO,
        travel: Duration::ZERO,
        workers: 0,
        limit: None,
        customer_traffic: 0,
        churn: 0,
        key: None,
        faults: Vec::new(),
    };
    let mut given = given.peekable();
    if given.next_if(|word| word == "demo").is_some() {
        return read_demo(given);
    }
    while let Some(argument) = given.next() {
        let (name, joined) = match argument.split_once('=') {
            Some((name, value)) if name.starts_with("--") => {
                (name.to_owned(), Some(value.to_owned()))
            }
            _ => (argument, None),
        };
        match name.as_str() {
            "--help" | "-h" => return Ok(Request::Help),
            "--version" | "-V" => return Ok(Request::Version),
            _ => {}
        }
        let mut value = || {
            joined
                .clone()
                .or_else(|| given.next())
                .ok_or_else(|| BadArgument::NoValue(name.clone()))
        };
        let population = &mut arguments.population;
        match name.as_str() {
            "--address" => arguments.address = address(&name, &value()?)?,
            "--users" => population.users = number(&name, &value()?)?,
            "--organizations" => population.organizations = number(&name, &value()?)?,
            "--memberships" => population.memberships = number(&name, &value()?)?,
            "--roles" => population.roles = number(&name, &value()?)?,
            "--permissions" => population.permissions = number(&name, &value()?)?,
            "--other-rows" => population.other_rows = number(&name, &value()?)?,
            "--metadata-bytes" => population.metadata_bytes = number(&name, &value()?)?,
            "--seed" => population.seed = number(&name, &value()?)?,
            "--latency-ms" => arguments.latency = Duration::from_millis(number(&name, &value()?)?),
            "--jitter-ms" => arguments.jitter = Duration::from_millis(number(&name, &value()?)?),
            "--travel-ms" => arguments.travel = Duration::from_millis(number(&name, &value()?)?),
            "--workers" => arguments.workers = number(&name, &value()?)?,
            "--customer-traffic" => arguments.customer_traffic = number(&name, &value()?)?,
            "--limit-per-10s" => arguments.limit = Some(number(&name, &value()?)?),
            "--churn" => arguments.churn = number(&name, &value()?)?,
            "--key" => arguments.key = Some(value()?),
            "--fault" => arguments.faults.push(parse(&name, &value()?)?),
            _ => return Err(BadArgument::Unknown(name)),
        }
    }
    Ok(Request::Serve(Box::new(arguments)))
}

/// Parses what follows the word `demo`.
fn read_demo(mut given: impl Iterator<Item = String>) -> Result<Request, BadArgument> {
    let folder = match given.next() {
        Some(word) if word == "--help" || word == "-h" => return Ok(Request::Help),
        Some(word) if word.starts_with('-') || word.is_empty() => {
            return Err(BadArgument::Unknown(word));
        }
        Some(folder) => folder.into(),
        None => DEFAULT_FOLDER.into(),
    };
    given.next().map_or(Ok(Request::Demo(folder)), |word| Err(BadArgument::Unknown(word)))
}

fn parse<T: FromStr<Err: std::fmt::Display>>(name: &str, text: &str) -> Result<T, BadArgument> {
    text.parse()
        .map_err(|problem: T::Err| BadArgument::BadValue(name.to_owned(), problem.to_string()))
}

/// The standard library does not say what an address or a number looks like.
fn address(name: &str, text: &str) -> Result<SocketAddr, BadArgument> {
    let wanted = "give HOST:PORT with an IP address as HOST, such as 127.0.0.1:8080";
    text.parse().map_err(|_| BadArgument::BadValue(name.to_owned(), wanted.to_owned()))
}

fn number<T: FromStr>(name: &str, text: &str) -> Result<T, BadArgument> {
    let wanted = "give a whole number, 0 or more";
    text.parse().map_err(|_| BadArgument::BadValue(name.to_owned(), wanted.to_owned()))
}

/// An invalid argument.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BadArgument {
    Unknown(String),
    NoValue(String),
    BadValue(String, String),
}

impl std::fmt::Display for BadArgument {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown(name) => write!(formatter, "unknown argument {name}"),
            Self::NoValue(name) => write!(formatter, "{name} needs a value"),
            Self::BadValue(name, problem) => write!(formatter, "{name}: {problem}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(arguments: &[&str]) -> Result<Request, BadArgument> {
        read(arguments.iter().map(|&argument| argument.to_owned()))
    }

    #[test]
    fn values_follow_a_space_or_an_equals_sign() {
        let Ok(Request::Serve(arguments)) =
            read_all(&["--users", "7", "--seed=9", "--fault", "* reset"])
        else {
            panic!("not understood")
        };
        assert_eq!(
            (arguments.population.users, arguments.population.seed, arguments.faults.len()),
            (7, 9, 1)
        );
    }

    #[test]
    fn a_demo_takes_one_folder() {
        for (given, folder) in [(&["demo"][..], "clerk-demo"), (&["demo", "/tmp/a"], "/tmp/a")] {
            assert!(
                matches!(read_all(given), Ok(Request::Demo(found)) if found == std::path::Path::new(folder))
            );
        }
        for given in [&["demo", "--users", "3"][..], &["demo", "a", "b"], &["--users", "3", "demo"]]
        {
            assert!(matches!(read_all(given), Err(BadArgument::Unknown(_))), "{given:?}");
        }
    }

    #[test]
    fn errors_name_the_argument() {
        assert_eq!(read_all(&["--user", "7"]).unwrap_err(), BadArgument::Unknown("--user".into()));
        assert_eq!(read_all(&["--users"]).unwrap_err(), BadArgument::NoValue("--users".into()));
        assert!(
            matches!(read_all(&["--users", "many"]), Err(BadArgument::BadValue(name, _)) if name == "--users")
        );
    }

    #[test]
    fn errors_say_what_to_give() {
        for (given, wanted) in [
            (["--address", "8080"], "--address: give HOST:PORT"),
            (["--address", "localhost:8080"], "such as 127.0.0.1:8080"),
            (["--users", "many"], "--users: give a whole number"),
            (["--latency-ms", "-1"], "--latency-ms: give a whole number"),
            (["--limit-per-10s", ""], "--limit-per-10s: give a whole number"),
        ] {
            let said = read_all(&given).unwrap_err().to_string();
            assert!(said.contains(wanted), "{given:?}: {said}");
        }
    }
}
