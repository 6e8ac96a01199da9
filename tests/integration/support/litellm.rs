//! A real LiteLLM, which accepts only its own key, with a model provider that answers slowly.

use std::process::Command;
use std::time::Duration;

use super::process::{Child, OnFailure};
use super::scratch::Scratch;
use super::{http_client, peer_file, ports, wait};

/// LiteLLM loads half a gigabyte of Python first, beside all other tests.
const START: Duration = Duration::from_secs(300);

const START_MODEL: Duration = Duration::from_secs(10);

/// A model with a fixed answer.
pub const FIXED_MODEL: &str = "parrot";
pub const FIXED_ANSWER: &str = "Who is a clever bird?";

/// A model that answers with the requested number of words, ten per second.
pub const COUNTING_MODEL: &str = "counter";

pub struct LiteLlm {
    port: u16,
    _children: [Child; 2],
    _scratch: Scratch,
}

/// A Python handler that authenticates requests, and its environment variables.
pub struct Handler<'a> {
    pub module: &'a str,
    pub environment: &'a [(&'a str, &'a str)],
}

impl LiteLlm {
    /// Starts LiteLLM with `key` as its master key.
    pub async fn start(key: &str) -> Self {
        Self::start_with(key, None).await
    }

    /// Starts LiteLLM with a handler in `vestibule_auth.py` instead of a key.
    pub async fn start_with(key: &str, handler: Option<Handler<'_>>) -> Self {
        let scratch = Scratch::new("litellm");
        let (model, model_port) = model(&scratch).await;
        let mut settings = format!("general_settings:\n  master_key: {key}\n");
        if let Some(handler) = &handler {
            scratch.write("vestibule_auth.py", handler.module);
            settings += "  custom_auth: vestibule_auth.user_api_key_auth\n  custom_auth_run_common_checks: true\n";
        }
        let config = scratch.write("config.yaml", &(models(model_port) + &settings));
        let port = ports::free();
        let mut command = python();
        command.arg(peer_file("wheels/litellm/bin/litellm")).args(["--host", "127.0.0.1", "--port", &port.to_string()]);
        command.arg("--config").arg(config).env("LITELLM_LOCAL_MODEL_COST_MAP", "True");
        command.envs(handler.iter().flat_map(|handler| handler.environment.iter().copied()));
        let log = scratch.path().join("litellm.log");
        let mut child = Child::spawn("litellm", command, &log, OnFailure::ShowLog);
        let (http, health) = (http_client(), format!("http://127.0.0.1:{port}/health/liveliness"));
        wait::until("LiteLLM to answer", START, async || {
            let exited = child.has_exited();
            assert!(exited.is_none(), "LiteLLM ended:\n{}", child.log());
            http.get(&health).send().await.ok().filter(|answer| answer.status() == 200)
        })
        .await;
        Self { port, _children: [child, model], _scratch: scratch }
    }

    pub fn port(&self) -> u16 {
        self.port
    }
}

/// Python with the packages of LiteLLM and the OpenAI client.
pub fn python() -> Command {
    let mut command = Command::new(peer_file(".venv/bin/python"));
    command.env("PYTHONPATH", peer_file("wheels/litellm")).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

async fn model(scratch: &Scratch) -> (Child, u16) {
    let port = ports::free();
    let mut command = Command::new("node");
    command.arg(peer_file("model.mjs")).arg(port.to_string());
    let mut child = Child::spawn("model", command, &scratch.path().join("model.log"), OnFailure::Quiet);
    child.wait_for_line(START_MODEL, |line| line.contains("listening").then_some(())).await;
    (child, port)
}

fn models(model: u16) -> String {
    format!(
        "model_list:
  - {{model_name: {FIXED_MODEL}, litellm_params: {{model: openai/parrot, api_key: none, mock_response: \"{FIXED_ANSWER}\"}}}}
  - {{model_name: {COUNTING_MODEL}, litellm_params: {{model: openai/counter, api_key: none, api_base: \"http://127.0.0.1:{model}/v1\"}}}}
litellm_settings: {{telemetry: false}}
"
    )
}
