//! The Lambda function: receives events from the runtime and returns the answers.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clerk_store::aws::LazyAwsConfig;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::value::RawValue;
use tokio::sync::{OnceCell, watch};
use tokio::time::Instant;
use tracing::error;

use crate::config::{Config, Environment, LogLevel, Place};
use crate::dependencies::Dependencies;
use crate::error::{Error, Failure};
use crate::event::Event;
use crate::handler::handle;
use crate::invocation::Invocation;
use crate::invocation_metrics::InvocationMetrics;
use crate::panics::{self, catch_panic};
use crate::progress::Progress;
use crate::telemetry::metrics::Labels;
use crate::telemetry::{self, Telemetry};
use crate::time_budget::{TimeBudget, time_until_deadline};
use crate::work_limit::WorkLimit;

/// Serves the Lambda runtime until it ends. Nothing that can fail happens before the first event:
/// Lambda reports a failed start without its reason (AWS documentation, "Runtime.ExitError").
pub async fn run(environment: Environment) -> ExitCode {
    let telemetry =
        telemetry::install(Place::Lambda, LogLevel::of(&environment)).unwrap_or_default();
    panics::log_panics_without_message();
    let function = Function {
        environment,
        telemetry,
        dependencies: OnceCell::new(),
        started_before: AtomicBool::new(false),
    };
    let served = lambda_runtime::run(service_fn(|event| function.invoke(event))).await;
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            error!("the Lambda runtime failed: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// What is kept between invocations.
struct Function {
    environment: Environment,
    telemetry: Telemetry,
    dependencies: OnceCell<Dependencies>,
    started_before: AtomicBool,
}

impl Function {
    async fn invoke(&self, event: LambdaEvent<Box<RawValue>>) -> Result<Box<RawValue>, Error> {
        self.telemetry.set_invocation(Some(telemetry::Invocation {
            request_id: event.context.request_id.clone(),
            cold_start: !self.started_before.swap(true, Ordering::Relaxed),
            xray_trace_id: event.context.xray_trace_id.clone(),
        }));
        // Otherwise the runtime reports a panic under the type name of its payload.
        catch_panic(self.answer(event)).await
    }

    async fn answer(&self, event: LambdaEvent<Box<RawValue>>) -> Result<Box<RawValue>, Error> {
        let started = Instant::now();
        let config = Config::from_environment(&self.environment, Place::Lambda)?;
        // Not parsed by the runtime, which would report what it cannot parse under the name of its own error.
        let request = Event::from_json(event.payload.get().as_bytes())?;
        let dependencies = self
            .dependencies
            .get_or_init(|| Dependencies::open(&config, LazyAwsConfig::of_environment()))
            .await;
        let deadline_in =
            time_until_deadline(event.context.deadline(), std::time::SystemTime::now());
        let budget = TimeBudget::new(
            started,
            deadline_in,
            config.deadline_reserve,
            request.time_budget().or(config.time_budget),
        );
        // Lambda sends no signal early enough to checkpoint.
        let (_interrupter, interrupt) = watch::channel(false);
        let metrics = InvocationMetrics::default();
        let invocation = Invocation {
            request_id: event.context.request_id,
            work_limit: Arc::new(WorkLimit::new(
                budget,
                deadline_in,
                config.deadline_reserve,
                interrupt,
            )),
            progress: Progress::default(),
            metrics: metrics.clone(),
        };
        let outcome = handle(&request, &config, dependencies, &invocation).await;
        let is_measured = matches!(request, Event::Sync(_) | Event::Changes(_));
        if let (true, Some(namespace)) = (is_measured, &config.metrics_namespace) {
            let labels = Labels { namespace, function: &event.context.env_config.function_name };
            let now = dependencies.clock.now();
            self.telemetry.write_metrics(labels, &metrics.measured(), started.elapsed(), now);
        }
        outcome?.to_json().map_err(|error| {
            Error::Internal(Failure::new("the answer could not be written").caused_by(error))
        })
    }
}
