//! An address of the API with its methods: any other is refused, and told of these (RFC 9110, section 15.5.6).

use std::future::ready;

use actix_web::{
    FromRequest, Handler, Resource, Responder, Route,
    http::{
        Method,
        header::{self, HeaderValue},
    },
    web,
};

use super::Refused;

/// A path below the API's own, and what answers there. The document in `openapi.yaml` has the same ones, which a test sees to.
pub(super) struct Address {
    path: &'static str,
    methods: Vec<Method>,
    routes: Vec<Route>,
}

impl Address {
    pub(super) fn new(path: &'static str) -> Self {
        Self { path, methods: Vec::new(), routes: Vec::new() }
    }

    pub(super) fn get<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::GET, handler)
    }

    pub(super) fn post<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::POST, handler)
    }

    pub(super) fn patch<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::PATCH, handler)
    }

    pub(super) fn delete<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::DELETE, handler)
    }

    fn on<F, Args>(mut self, method: Method, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.routes.push(web::method(method.clone()).to(handler));
        self.methods.push(method);
        self
    }

    pub(super) fn into_resource(self) -> Resource {
        let allowed: Vec<&str> = self.methods.iter().map(Method::as_str).collect();
        let allowed = HeaderValue::from_str(&allowed.join(", ")).expect("methods are tokens");
        let resource = self.routes.into_iter().fold(web::resource(self.path), Resource::route);
        resource.default_service(web::to(move || {
            let mut response = Refused::Method.respond();
            response.headers_mut().insert(header::ALLOW, allowed.clone());
            ready(response)
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
