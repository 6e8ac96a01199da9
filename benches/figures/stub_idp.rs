//! A provider that takes almost no time: it shows no form, and signs the claims that the code contains.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::{App, HttpResponse, HttpServer, web};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use vestibule::clock::{Clock, SystemClock};
use vestibule::principal::Claims;
use vestibule::secret::{NewSigningKeys, SigningAlgorithm, SigningKeys, new_signing_key};

use super::users::identity;

pub const CLIENT: &str = "vestibule";

pub struct StubIdp {
    pub issuer: String,
    redeemed_codes: Arc<AtomicU64>,
}

#[derive(Clone)]
struct State {
    issuer: String,
    keys: Arc<SigningKeys>,
    redeemed_codes: Arc<AtomicU64>,
}

impl StubIdp {
    /// Serves until the process ends.
    pub fn start() -> Self {
        let redeemed_codes = Arc::new(AtomicU64::new(0));
        let (sender, receiver) = std::sync::mpsc::channel();
        let counter = Arc::clone(&redeemed_codes);
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async {
                let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
                let issuer = format!("http://{}", listener.local_addr().expect("it is bound"));
                let keys = NewSigningKeys::parse(&new_signing_key(SigningAlgorithm::Es256)).expect("a fresh key");
                let keys = Arc::new(SigningKeys::new(keys, Arc::new(SystemClock)));
                let state = State { issuer: issuer.clone(), keys, redeemed_codes: counter };
                let server = HttpServer::new(move || {
                    let app = App::new().app_data(web::Data::new(state.clone()));
                    app.route("/.well-known/openid-configuration", web::get().to(discovery))
                        .route("/jwks", web::get().to(async |state: web::Data<State>| web::Json(state.keys.published())))
                        .route("/token", web::post().to(token))
                });
                let server = server.workers(1).disable_signals().listen(listener).expect("it is bound");
                sender.send(issuer).expect("the receiver exists");
                server.run().await
            })
        });
        Self { issuer: receiver.recv().expect("the server is bound"), redeemed_codes }
    }

    /// The code that signs in this user, for the nonce of the auth request.
    pub fn code(user: usize, nonce: &str) -> String {
        URL_SAFE_NO_PAD.encode(json!({"user": user, "nonce": nonce}).to_string())
    }

    /// The number of redeemed codes.
    pub fn redeemed(&self) -> u64 {
        self.redeemed_codes.load(Ordering::Relaxed)
    }
}

async fn discovery(state: web::Data<State>) -> web::Json<Value> {
    let at = |path: &str| format!("{}{path}", state.issuer);
    web::Json(json!({
        "issuer": state.issuer, "authorization_endpoint": at("/authorize"), "token_endpoint": at("/token"),
        "jwks_uri": at("/jwks"), "response_types_supported": ["code"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }))
}

async fn token(state: web::Data<State>, form: web::Form<Vec<(String, String)>>) -> HttpResponse {
    let code = form.iter().find_map(|(name, value)| (name == "code").then_some(value)).expect("a code");
    let code: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(code).expect("a code of ours")).expect("a code of ours");
    let user = identity("corp", code["user"].as_u64().expect("a number") as usize);
    let now = SystemClock.now().as_second();
    let sign = |claims: &Claims, additional: Value| {
        let Ok(Value::Object(mut claims)) = serde_json::to_value(claims) else { unreachable!("claims are an object") };
        claims.extend(json!({"iss": state.issuer, "iat": now, "exp": now + 300}).as_object().cloned().unwrap_or_default());
        claims.extend(additional.as_object().cloned().unwrap_or_default());
        state.keys.sign(&claims).0
    };
    let id_token = sign(&user.id_token, json!({"aud": CLIENT, "nonce": code["nonce"]}));
    let access_token = sign(user.access_token.as_ref().expect("there is one"), json!({"aud": "litellm"}));
    state.redeemed_codes.fetch_add(1, Ordering::Relaxed);
    let response = json!({"access_token": access_token, "id_token": id_token, "token_type": "Bearer", "expires_in": 300});
    HttpResponse::Ok().json(response)
}
