//! HTTP APIs: strangers are turned away before they cost an invocation, and the function believes the same issuer.
//! Must not know: routes, claims.

use serde_json::Value;
use towpath_doctor::{Resource, Stack};

use super::Findings;
use super::source::Code;

/// Each route of an HTTP API asks for a token, and its function verifies tokens of the same issuer for the same audience.
pub(crate) fn tokens(stack: &Stack, _: &Code) -> Findings {
    let mut findings = Findings::new();
    for route in stack.each("AWS::ApiGatewayV2::Route") {
        let authorizer =
            stack.follow(on_aws(route, "AuthorizerId")).filter(|it| it.property("AuthorizerType") == "JWT");
        let Some(authorizer) = authorizer.filter(|_| on_aws(route, "AuthorizationType") == "JWT") else {
            findings.push(format!("{}: it lets in who has no token", route.place));
            continue;
        };
        let rules = authorizer.property("JwtConfiguration");
        if functions(stack, route.scope()).is_empty() {
            findings.push(format!("{}: no function is behind it", route.place));
        }
        for function in functions(stack, route.scope()) {
            let told = &function.property("Environment")["Variables"];
            if told["TOWPATH_TOKEN_ISSUER"] != rules["Issuer"] || told["TOWPATH_TOKEN_AUDIENCE"] != rules["Audience"][0]
            {
                findings.push(format!("{}: it verifies other tokens than {}", function.place, authorizer.place));
            }
        }
    }
    findings
}

/// A property of a route, as it is where API Gateway can read the issuer's keys.
fn on_aws<'a>(route: &'a Resource, name: &str) -> &'a Value {
    let value = route.property(name);
    value["Fn::If"].get(1).unwrap_or(value)
}

/// The functions that the API of one nested stack calls.
fn functions<'a>(stack: &'a Stack, scope: &str) -> Vec<&'a Resource> {
    let called = stack.each("AWS::ApiGatewayV2::Integration").filter(|integration| integration.scope() == scope);
    let alias = |of: &Value| stack.follow(of).and_then(|alias| stack.follow(alias.property("FunctionName")));
    called.filter_map(|integration| alias(integration.property("IntegrationUri"))).collect()
}
