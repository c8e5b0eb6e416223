//! Carries a schedule out against the real program, and has every invocation judged.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::SdkConfig;
use bytes::Bytes;
use clerk_sandbox::{DEFAULT_KEY, Population, Rules, Sandbox, Serving};
use clerk_sync::clock::Clock;
use futures_util::future::join;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::super::changes::change_rows;
use super::super::further::{Further, make_active};
use super::super::hazards::other_instance;
use super::super::judge::{Armed, Judge, Objects, latest_id};
use super::super::schedule::{Damage, Lie};
use super::bucket::{Bucket, retry_at};
use super::environment::{End, Environment, FOR_EVER};
use super::rotator::Rotator;
use super::schedule::{Act, Delivery, Event, Function, SHORTEST_LEASE, Schedule};
use crate::support::aws_proxy::{AwsCall, AwsEffect, AwsFault, AwsProxy, Stop, Target};
use crate::support::feed::assert_feeds;
use crate::support::fuse::Side;
use crate::support::lambda_runtime::{Ended, Lambda};
use crate::support::lists_of_files::assert_listed;
use crate::support::moto::Moto;
use crate::support::oracle::Oracle;
use crate::support::plain::every_second;
use crate::support::process::{Finished, Program};

/// The longest time that Lambda lets an invocation run (AWS documentation, "Lambda quotas").
const LONGEST: Duration = Duration::from_secs(900);
/// When an invocation is killed that waits for an answer that never comes, to save 900 seconds.
const HANGING: Duration = Duration::from_millis(1_500);
/// Once all faults are gone, a run is complete within this many invocations.
const MAX_INVOCATIONS: usize = 8;
/// Longer than a lease, and than any pause a schedule asks for.
const A_WHILE: Duration = Duration::from_secs(6_000);
/// Between the deliveries of an event that failed (AWS documentation, "Error handling for
/// asynchronous invocation").
const BEFORE_RETRIES: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(120)];

/// The result of a schedule, filled in as it goes on.
#[derive(Debug, Default)]
pub(super) struct Played {
    /// How each invocation ended: a status, an error's name, or what stopped it.
    pub(super) ends: Vec<String>,
    /// Whether the snapshot of the schedule's last run is verified.
    pub(super) verified: bool,
    /// Everything in the order in which it happened, for investigating a failure.
    pub(super) history: Vec<String>,
    /// The processes, in the order in which they were started.
    pub(super) processes: Vec<Ended>,
}

/// Carries a schedule out. Panics if a promise is broken.
pub(super) async fn play(schedule: Schedule, played: Arc<Mutex<Played>>) {
    let mut stage = Stage::of(&schedule, played).await;
    for act in &schedule.acts {
        stage.record(format!("{act:?}"));
        stage.act(act).await;
    }
    stage.end().await;
}

/// A frozen invocation.
struct Frozen {
    environment: Environment,
    request_id: String,
}

struct Stage {
    sandbox: Sandbox,
    /// The instance to which the secret may change, and whether it has.
    other: Sandbox,
    is_other: Arc<AtomicBool>,
    /// Faults of AWS that last until all others are gone.
    for_good: Vec<AwsFault>,
    serving: Serving,
    aws: SdkConfig,
    secret: String,
    proxy: AwsProxy,
    bucket: Bucket,
    function: Function,
    judge: Judge,
    /// Idle environments, to be used again.
    warm: Vec<Environment>,
    frozen: Vec<Frozen>,
    /// For the next invocation.
    events: Vec<(u64, Event)>,
    stops: Vec<(u64, Side, Stop)>,
    /// What may be wrong by now.
    armed: Armed,
    invocations: u64,
    /// The last checkpoint seen that the program could continue.
    checkpoint: Option<Bytes>,
    keys: Arc<AtomicU64>,
    played: Arc<Mutex<Played>>,
}

impl Stage {
    async fn of(schedule: &Schedule, played: Arc<Mutex<Played>>) -> Self {
        let function = schedule.function.clone();
        let population = Population::default()
            .seed(schedule.seed)
            .users(function.users)
            .organizations(function.organizations)
            .memberships(function.memberships)
            .permissions(function.permissions);
        let sandbox = Sandbox::new(population);
        if let Some(further) = &function.further {
            make_active(&sandbox, Clock::system().now().unix_millis());
            further.fill(&sandbox, every_second);
            let sessions_need_user = further.sessions_need_user;
            sandbox.set_rules(Rules { sessions_need_user, ..Rules::default() });
        }
        let other = other_instance(&sandbox);
        let serving = sandbox.serve().await.expect("a free port");
        let name = format!("chaos-{}", schedule.seed);
        let aws = Moto::shared().bucket(&name).await;
        let secrets = aws_sdk_secretsmanager::Client::new(&aws);
        let secret = secrets.create_secret().name(&name).secret_string(DEFAULT_KEY);
        secret.send().await.expect("a secret");
        Self {
            judge: Judge::of(&[&sandbox, &other], function.further.clone(), function.guard),
            bucket: Bucket::of(&aws, &name),
            proxy: AwsProxy::to(Moto::shared()),
            secret: name,
            sandbox,
            other,
            is_other: Arc::default(),
            for_good: Vec::new(),
            serving,
            aws,
            function,
            warm: Vec::new(),
            frozen: Vec::new(),
            events: Vec::new(),
            stops: Vec::new(),
            armed: Armed::default(),
            invocations: 0,
            checkpoint: None,
            keys: Arc::default(),
            played,
        }
    }

    async fn act(&mut self, act: &Act) {
        match act {
            Act::Wire(rule, lie) => {
                self.sandbox.fault(rule.clone());
                self.armed.wire = true;
                self.armed.key |= *lie == Lie::Key;
                self.judge.lied |= *lie == Lie::Rows;
            }
            Act::Aws(fault) => {
                self.proxy.fault(*fault);
                match fault.call {
                    AwsCall::Secret => self.armed.secret = true,
                    _ => self.armed.store = true,
                }
                self.armed.hangs |= fault.effect == AwsEffect::Hang;
                self.judge.undeletable |= fault.call == AwsCall::Delete;
            }
            Act::AwsForGood(fault) => {
                self.proxy.fault(*fault);
                self.for_good.push(*fault);
                self.armed.store = true;
                self.judge.undeletable = true;
            }
            Act::NoConditions(effect) => {
                for call in [AwsCall::Put, AwsCall::Delete] {
                    let (key_part, effect) = ("", *effect);
                    let fault = AwsFault { call, key_part, first: 1, last: u64::MAX, effect };
                    self.proxy.fault(fault);
                }
                self.judge.unproven = true;
            }
            Act::Conditions => {
                self.proxy.heal();
                self.judge.unproven = false;
            }
            Act::TurnKey(old_ends) => {
                self.armed.key = true;
                self.rotator().turn(*old_ends).await;
            }
            Act::Lose(loss) => loss.befall(&self.sandbox),
            Act::Accept => {
                let event = json!({"accept_shrink": true});
                self.deliver(event, None, Delivery::Once).await;
            }
            Act::RotateKey => self.rotator().rotate().await,
            Act::Churn(plan) => self.sandbox.churn(plan.clone()),
            Act::AtRequest(number, event) => self.events.push((*number, *event)),
            Act::AtAwsCall(number, side, stop) => self.stops.push((*number, *side, *stop)),
            Act::Checkpoint(damage) => self.damage(*damage).await,
            Act::Invoke { budget, deadline, delivery } => {
                let event = match budget {
                    Some(seconds) => json!({"time_budget_seconds": seconds}),
                    None => json!({}),
                };
                self.deliver(event, deadline.map(Duration::from_millis), *delivery).await;
            }
            Act::Thaw => self.thaw().await,
            Act::Wait(seconds) => self.wait(Duration::from_secs(*seconds)).await,
            Act::Cold => self.cool().await,
            Act::Heal => self.heal(),
        }
    }

    async fn deliver(&mut self, mut event: Value, deadline: Option<Duration>, delivery: Delivery) {
        self.function.further.iter().for_each(|further| further.opt_in(&mut event));
        let request_id = self.next_request_id();
        if delivery == Delivery::Twice {
            return self.invoke_twice(&request_id, event, deadline).await;
        }
        let mut failed = self.invoke(&request_id, &event, deadline).await;
        for pause in BEFORE_RETRIES {
            if !failed || delivery == Delivery::Once {
                return;
            }
            self.wait(pause).await;
            failed = self.invoke(&request_id, &event, deadline).await;
        }
    }

    fn next_request_id(&mut self) -> String {
        self.invocations += 1;
        format!("request-{}", self.invocations)
    }

    /// One invocation; returns whether Lambda counts it as failed.
    async fn invoke(
        &mut self,
        request_id: &str,
        event: &Value,
        deadline: Option<Duration>,
    ) -> bool {
        let before = self.before(event).await;
        let undisturbed = self.events.is_empty()
            && self.stops.is_empty()
            && deadline.is_none()
            && self.frozen.is_empty();
        let struck = self.struck();
        let mut environment = self.environment().await;
        self.put_in(&environment);
        let until = self.until(deadline);
        let end = environment.invoke(request_id, event, until).await;
        self.sandbox.on_request(|_, _| ());
        let objects = self.after(&before).await;
        self.assert_pause_kept(&before);
        self.note(&end, &before, &objects, !undisturbed || self.struck() != struck);
        if is_foreign(&before.objects) && matches!(end, End::Answered(_)) {
            assert_eq!(event["restart"], true, "a checkpoint was guessed at");
            let foreign = &before.objects["checkpoint.json"];
            let aside = |key: &str| key.starts_with("checkpoint.unreadable-");
            let kept = objects.iter().any(|(key, bytes)| aside(key) && bytes == foreign);
            assert!(kept, "a checkpoint that cannot be read is gone");
        }
        self.judge.store(&objects);
        let failed = matches!(end, End::Failed(_) | End::Died | End::PastDeadline);
        self.leave(environment, &end, request_id).await;
        failed
    }

    /// Two concurrent invocations by the same event, in two environments.
    async fn invoke_twice(&mut self, request_id: &str, event: Value, deadline: Option<Duration>) {
        self.armed.rival |= self.function.lease == SHORTEST_LEASE;
        let before = self.before(&event).await;
        self.judge.raced = true;
        let mut first = self.environment().await;
        let mut second = self.environment().await;
        self.put_in(&first);
        second.entrance.stop_at(Vec::new());
        let until = self.until(deadline);
        let ends =
            join(first.invoke(request_id, &event, until), second.invoke(request_id, &event, until))
                .await;
        self.sandbox.on_request(|_, _| ());
        let objects = self.after(&before).await;
        self.note_in_company(&ends.0, &objects);
        self.note_in_company(&ends.1, &objects);
        self.judge.store(&objects);
        self.judge.raced = false;
        self.leave(first, &ends.0, request_id).await;
        self.leave(second, &ends.1, request_id).await;
    }

    async fn before(&mut self, event: &Value) -> Before {
        let objects = self.bucket.objects().await;
        let checkpoint = objects.get("checkpoint.json").filter(|_| !is_foreign(&objects));
        self.checkpoint = checkpoint.cloned().or(self.checkpoint.take());
        self.judge.before(event, &objects);
        Before { objects, requests: self.sandbox.total_requests() }
    }

    /// The store, once everything that dead processes requested has happened, and Clerk's side
    /// judged.
    async fn after(&mut self, before: &Before) -> Objects {
        self.proxy.at_rest().await;
        self.judge.asked(self.sandbox.total_requests() - before.requests);
        assert_eq!(
            self.proxy.breaches().await,
            [""; 0],
            "the checkpoint was written without the lease"
        );
        self.bucket.objects().await
    }

    /// No request was sent to Clerk during a pause that it had asked for.
    fn assert_pause_kept(&self, before: &Before) {
        if retry_at(&before.objects).is_some_and(|until| until > Clock::system().now()) {
            let asked = self.sandbox.total_requests() - before.requests;
            assert_eq!(asked, 0, "requests during a pause that Clerk asked for");
        }
    }

    fn struck(&self) -> (u64, u64) {
        (self.sandbox.faults_struck(), self.proxy.struck())
    }

    /// When Lambda kills an invocation that begins now.
    fn until(&self, deadline: Option<Duration>) -> Duration {
        let without = if self.armed.hangs { HANGING } else { LONGEST };
        deadline.unwrap_or(without)
    }

    /// An idle environment, or a new one.
    async fn environment(&mut self) -> Environment {
        if let Some(environment) = self.warm.pop() {
            return environment;
        }
        let target = Arc::new(Target::default());
        let entrance = self.proxy.entrance(&target).await;
        let function = Program::new(&self.bucket.url(), &self.serving)
            .with_aws(Moto::shared())
            .with("AWS_ENDPOINT_URL", entrance.url())
            .with("CLERK_SECRET_KEY", "")
            .with("CLERK_SECRET_ID", &self.secret)
            .with("COMPRESSION", self.function.compression)
            .with("SHRINK_GUARD_PERCENT", &self.function.guard.to_string())
            .with("CHANGES", self.function.changes)
            .with("ATHENA_LATEST", if self.function.athena_latest { "true" } else { "" })
            .with("LEASE_SECONDS", &self.function.lease.to_string())
            .with("DEADLINE_RESERVE_SECONDS", "0.2")
            .with("LOG_LEVEL", self.function.log_level);
        let further = self.function.further.iter().flat_map(Further::settings);
        let function =
            further.fold(function, |function, (name, value)| function.with(name, &value));
        let lambda = Lambda::start(&function).await;
        target.is(lambda.process());
        self.played.lock().expect("not poisoned").processes.push(lambda.ended());
        Environment { lambda, target, entrance }
    }

    /// Sets what happens during the next invocation, in this environment.
    fn put_in(&mut self, environment: &Environment) {
        environment.entrance.stop_at(std::mem::take(&mut self.stops));
        let events = std::mem::take(&mut self.events);
        if events.is_empty() {
            return;
        }
        let rotations = events.iter().filter(|(_, event)| matches!(event, Event::RotateKey));
        // The secret is read again once per invocation.
        let turns = events.iter().any(|(_, event)| matches!(event, Event::TurnKey(_)));
        self.armed.key |= rotations.count() > 1 || turns;
        let (seen, target, rotator) =
            (AtomicU64::new(0), Arc::clone(&environment.target), self.rotator());
        let runtime = Handle::current();
        self.sandbox.on_request(move |sandbox, request| {
            let number = seen.fetch_add(1, Ordering::SeqCst) + 1;
            for (_, event) in events.iter().filter(|(at, _)| *at == number) {
                match event {
                    Event::Stop(stop) => target.stop(*stop),
                    Event::RotateKey => {
                        tokio::task::block_in_place(|| runtime.block_on(rotator.rotate()));
                    }
                    Event::TurnKey(old_ends) => {
                        tokio::task::block_in_place(|| runtime.block_on(rotator.turn(*old_ends)));
                    }
                    Event::Rows(change) => {
                        change_rows(sandbox, *change, request.parameter("starting_after"));
                    }
                }
            }
        });
    }

    fn rotator(&self) -> Rotator {
        Rotator {
            secrets: aws_sdk_secretsmanager::Client::new(&self.aws),
            secret: self.secret.clone(),
            sandbox: self.sandbox.clone(),
            other: self.other.clone(),
            is_other: Arc::clone(&self.is_other),
            keys: Arc::clone(&self.keys),
        }
    }

    /// Judges the end of an invocation that had the run to itself.
    fn note(&mut self, end: &End, before: &Before, objects: &Objects, disturbed: bool) {
        self.note_end(end);
        match end {
            End::Answered(answer) => self.judge.answer(answer, objects, disturbed),
            End::Failed(error) => {
                self.note_error(error);
                if error["errorType"] == "StateUnreadable" {
                    let checkpoint = |objects: &Objects| objects.get("checkpoint.json").cloned();
                    let (was, is) = (checkpoint(&before.objects), checkpoint(objects));
                    assert_eq!(was, is, "a checkpoint that cannot be read was touched");
                }
            }
            End::Died | End::PastDeadline | End::Frozen => {}
        }
    }

    /// Judges the end of an invocation that was not alone: its view of the store may be out of
    /// date.
    fn note_in_company(&mut self, end: &End, objects: &Objects) {
        self.note_end(end);
        match end {
            End::Answered(answer) => {
                self.judge.assert_hidden(&answer.to_string(), "an answer");
                let status = answer["status"].as_str().expect("a status");
                assert!(["complete", "partial", "busy", "held"].contains(&status), "{answer:#}");
                if status == "complete" {
                    let id = answer["snapshot_id"].as_str().expect("an id");
                    let manifest = format!("snapshots/{id}/manifest.json");
                    assert!(objects.contains_key(&manifest), "not published: {answer:#}");
                    self.judge.called_complete(id, objects);
                }
            }
            End::Failed(error) => self.note_error(error),
            End::Died | End::PastDeadline | End::Frozen => {}
        }
    }

    fn note_error(&self, error: &Value) {
        let text = |field: &str| error[field].as_str().expect("a text");
        self.judge.error(text("errorType"), text("errorMessage"), self.armed);
    }

    fn note_end(&self, end: &End) {
        let name = match end {
            End::Answered(answer) => answer["status"].as_str().expect("a status"),
            End::Failed(error) => error["errorType"].as_str().expect("a name"),
            End::Died => "died",
            End::PastDeadline => "past its deadline",
            End::Frozen => "frozen",
        };
        self.record(format!("    {end:?}"));
        self.played.lock().expect("not poisoned").ends.push(name.to_owned());
    }

    fn record(&self, what: String) {
        self.played.lock().expect("not poisoned").history.push(what);
    }

    /// Keeps or ends an environment after its invocation.
    async fn leave(&mut self, environment: Environment, end: &End, request_id: &str) {
        match end {
            End::Answered(_) | End::Failed(_) => {
                environment.target.rest();
                self.warm.push(environment);
            }
            End::Frozen => {
                let request_id = request_id.to_owned();
                self.frozen.push(Frozen { environment, request_id });
            }
            End::Died | End::PastDeadline => self.read_log(environment).await,
        }
    }

    /// Ends an environment, and checks its log.
    async fn read_log(&self, environment: Environment) {
        let finished = environment.lambda.end().await;
        let Finished { stdout, stderr, .. } = &*finished;
        self.judge.assert_hidden(stdout, "the log");
        assert_eq!(stderr, "", "everything is logged to standard output");
        // The last line may have been cut when the process ended.
        let whole = stdout.rfind('\n').map_or(0, |end| end + 1);
        for line in stdout[..whole].lines() {
            let parsed: Result<Value, _> = serde_json::from_str(line);
            assert!(parsed.is_ok_and(|line| line["level"].is_string()), "no log line: {line}");
        }
    }

    async fn cool(&mut self) {
        for environment in std::mem::take(&mut self.warm) {
            self.read_log(environment).await;
        }
    }

    async fn thaw(&mut self) {
        for Frozen { mut environment, request_id } in std::mem::take(&mut self.frozen) {
            self.armed.rival = true;
            self.judge.thawed = true;
            let before = self.before(&json!({})).await;
            environment.target.thaw();
            let until = if self.armed.hangs { HANGING } else { FOR_EVER };
            let end = environment.outcome(&request_id, until).await;
            let objects = self.after(&before).await;
            self.note_in_company(&end, &objects);
            self.judge.store(&objects);
            self.judge.thawed = false;
            self.leave(environment, &end, &request_id).await;
        }
    }

    /// Lets time pass, at least until the lease has ended if it is short.
    async fn wait(&mut self, time: Duration) {
        if self.function.lease > SHORTEST_LEASE {
            self.bucket.pass_time(time).await;
            return self.proxy.checkpoint_changed().await;
        }
        let now = Clock::system().now();
        if let Some(until) = self.bucket.held_until().await {
            tokio::time::sleep(until.saturating_duration_since(now).min(time)).await;
        }
    }

    fn heal(&mut self) {
        self.sandbox.clear_faults();
        self.sandbox.stop_churn();
        self.proxy.heal();
        self.for_good.iter().for_each(|fault| self.proxy.fault(*fault));
        self.judge.unproven = false;
        self.judge.undeletable = !self.for_good.is_empty();
        self.armed.hangs = false;
        self.events.clear();
        self.stops.clear();
    }

    async fn damage(&mut self, damage: Damage) {
        self.judge.damaged = true;
        // A frozen invocation has lost the run.
        self.armed.rival = true;
        self.proxy.checkpoint_changed().await;
        let checkpoint = self.bucket.objects().await.remove("checkpoint.json");
        let Some(bytes) = checkpoint.or_else(|| self.checkpoint.clone()) else { return };
        let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
        let format = |number: &str| text.replacen("checkpoint/4", number, 1);
        let text = match damage {
            Damage::OlderFormat => format("checkpoint/1"),
            Damage::NewerFormat => format("checkpoint/99"),
            Damage::CutShort => text[..text.len() / 2].to_owned(),
            Damage::Gone => {
                return self.bucket.take_away("checkpoint.json").await;
            }
        };
        self.armed.unreadable = true;
        self.bucket.plant("checkpoint.json", text).await;
    }

    /// Once all faults are gone the run completes, whatever was frozen does no harm, and a run of
    /// its own finds exactly the rows of the instance and leaves nothing behind.
    async fn end(&mut self) {
        self.heal();
        self.finish(json!({})).await;
        let verified = self.judge.published().is_some_and(|it| it.manifest["verified"] == true);
        self.played.lock().expect("not poisoned").verified = verified;
        self.thaw().await;
        if !self.for_good.is_empty() {
            // Each of them makes a new snapshot, although the bucket does not delete the old ones.
            for _ in 0..2 {
                self.finish(json!({})).await;
            }
            self.for_good.clear();
            self.heal();
            self.finish(json!({})).await;
        }
        self.finish(json!({"restart": true})).await;
        self.judge.assert_exact();
        let published = self.judge.published().expect("published");
        let redacted = self.function.further.as_ref().is_some_and(|further| further.redacted);
        for (name, expected) in Oracle::plain().datasets(self.judge.source()) {
            let of_the_five = |row: &&Value| row["resource"]["type"] != "machine";
            let held = published.datasets[&name].iter().filter(of_the_five);
            assert!(redacted || held.eq(&expected), "{name} differs from its source");
        }
        if self.function.changes != "off" {
            self.write_owed_feed().await;
        }
        assert_eq!(self.proxy.shown(), None, "the key was shown to AWS");
        let mut objects = self.bucket.objects().await;
        let late: BTreeSet<String> = self.proxy.late();
        if self.function.athena_latest && !late.iter().any(|path| path.contains("/athena/")) {
            let newest = latest_id(&objects).expect("published");
            assert_eq!(assert_listed(&objects).as_deref(), newest.as_str());
        }
        objects.retain(|key, _| !late.iter().any(|path| path.contains(key)));
        objects.extend(self.bucket.objects().await.remove_entry("latest.json"));
        self.judge.assert_no_leftovers(&objects);
        self.cool().await;
    }

    /// The newest snapshot has its feed, and the action makes those of the others.
    async fn write_owed_feed(&mut self) {
        let mut environment = self.environment().await;
        let event = json!({"action": "changes"});
        let id = self.next_request_id();
        let end = environment.invoke(&id, &event, LONGEST).await;
        self.leave(environment, &end, &id).await;
        let End::Answered(answer) = end else { panic!("no faults are left: {end:?}") };
        assert_eq!(answer["owed"], 0, "{answer:#}");
        let objects = self.bucket.objects().await;
        let newest = latest_id(&objects).expect("published");
        assert!(
            !answer["made"].as_array().expect("ids").contains(&newest),
            "the newest was owed: {answer:#}"
        );
        assert_feeds(&objects);
    }

    async fn finish(&mut self, first: Value) {
        let mut event = first;
        for _ in 0..MAX_INVOCATIONS {
            self.wait(A_WHILE).await;
            self.deliver(event, None, Delivery::Once).await;
            let last = self.played.lock().expect("not poisoned").ends.last().cloned();
            event = match last.as_deref() {
                Some("complete") => return,
                Some("held") => json!({"accept_shrink": true}),
                Some("StateUnreadable") => json!({"restart": true}),
                _ => json!({}),
            };
        }
        panic!("not complete although all faults are gone");
    }
}

/// Whether there is a checkpoint of a format that the program does not know.
fn is_foreign(objects: &Objects) -> bool {
    let Some(bytes) = objects.get("checkpoint.json") else { return false };
    let checkpoint: Result<Value, _> = serde_json::from_slice(bytes);
    !checkpoint.is_ok_and(|checkpoint| checkpoint["format"] == "clerk-sync/checkpoint/4")
}

/// The state of things before an invocation.
struct Before {
    objects: Objects,
    requests: u64,
}
