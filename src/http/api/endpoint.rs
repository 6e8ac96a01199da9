//! An endpoint for programs: its path, methods and handlers. Another method is answered with the list of allowed ones
//! (RFC 9110, section 15.5.6). A query is refused unless the endpoint has parameters.

use std::future::ready;

use actix_web::{
    FromRequest, Handler, Resource, Responder, Route,
    body::BoxBody,
    dev::{HttpServiceFactory, ServiceRequest},
    guard,
    http::{
        Method,
        header::{self, HeaderValue},
    },
    middleware::{Next, from_fn},
    web::{self, PayloadConfig},
};

use super::ApiError;

/// The size limit of bodies, in bytes. No call needs as much.
const LARGEST_BODY: usize = 16 << 10;

/// A path with its methods and handlers. A test compares the endpoints of the API with `openapi.yaml`.
pub(in crate::http) struct Endpoint {
    path: &'static str,
    methods: Vec<Method>,
    routes: Vec<Route>,
    query: QueryPolicy,
}

/// The treatment of queries. An ignored query would leave a client with a wrong result.
#[derive(Clone, Copy, PartialEq, Eq)]
enum QueryPolicy {
    Accept,
    Reject,
}

impl Endpoint {
    pub(in crate::http) fn new(path: &'static str) -> Self {
        Self { path, methods: Vec::new(), routes: Vec::new(), query: QueryPolicy::Reject }
    }

    pub(in crate::http) fn with_query(self) -> Self {
        Self { query: QueryPolicy::Accept, ..self }
    }

    pub(in crate::http) fn get<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let route = web::route().guard(guard::Any(guard::Get()).or(guard::Head()));
        self.on(Method::GET, route, handler)
    }

    pub(in crate::http) fn post<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::POST, web::method(Method::POST), handler)
    }

    pub(in crate::http) fn patch<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::PATCH, web::method(Method::PATCH), handler)
    }

    pub(in crate::http) fn delete<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::DELETE, web::method(Method::DELETE), handler)
    }

    fn on<F, Args>(mut self, method: Method, route: Route, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.routes.push(route.to(handler));
        self.methods.push(method);
        self
    }

    pub(in crate::http) fn into_resource(self) -> impl HttpServiceFactory + use<> {
        let head = self.methods.contains(&Method::GET).then_some("HEAD");
        let allowed: Vec<&str> = self.methods.iter().map(Method::as_str).chain(head).collect();
        let allowed = HeaderValue::from_str(&allowed.join(", ")).expect("methods are tokens");
        let query = self.query;
        let resource = web::resource(self.path).app_data(PayloadConfig::new(LARGEST_BODY));
        let resource = self.routes.into_iter().fold(resource, Resource::route);
        let resource = resource.default_service(web::to(move || {
            let mut response = ApiError::Method.respond();
            response.headers_mut().insert(header::ALLOW, allowed.clone());
            ready(response)
        }));
        resource.wrap(from_fn(move |request: ServiceRequest, next: Next<BoxBody>| async move {
            if query == QueryPolicy::Reject && !request.query_string().is_empty() {
                return Ok(request.into_response(ApiError::Query.respond()));
            }
            next.call(request).await
        }))
    }

    #[cfg(test)]
    pub(super) fn path(&self) -> &'static str {
        self.path
    }

    #[cfg(test)]
    pub(super) fn methods(&self) -> &[Method] {
        &self.methods
    }
}
