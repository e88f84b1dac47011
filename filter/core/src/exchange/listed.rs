//! One endpoint as the read-only lists have it: OpenAI's, Databricks' and MLflow's. No secret, no provider's address.

use serde_json::{Value, json};

use crate::config::{Endpoint, Provider, ServedEntity};

/// A model of OpenAI's list.
pub fn openai(endpoint: &Endpoint) -> Value {
    json!({ "id": endpoint.name, "object": "model", "created": 0, "owned_by": "weir" })
}

/// A `ServingEndpointDetailed` of Databricks' SDK, which is a `ServingEndpoint` too.
pub fn databricks(endpoint: &Endpoint) -> Value {
    let entities: Vec<_> = endpoint.entities.iter().map(|entity| served_entity(endpoint, entity)).collect();
    let share = |at: usize| {
        let plan = endpoint.plans.iter().find(|plan| plan.entities.first() == Some(&at));
        plan.map_or(0, |plan| plan.traffic_percentage)
    };
    let route = |(at, entity): (usize, &ServedEntity)| json!({ "served_model_name": entity.name, "served_entity_name": entity.name, "traffic_percentage": share(at) });
    let routes: Vec<_> = endpoint.entities.iter().enumerate().map(route).collect();
    json!({
        "name": endpoint.name,
        "id": endpoint.name,
        "description": endpoint.description,
        "task": endpoint.task.name(),
        "state": { "ready": "READY", "config_update": "NOT_UPDATING" },
        "permission_level": "CAN_QUERY",
        "config": { "served_entities": entities, "traffic_config": { "routes": routes } },
    })
}

fn served_entity(endpoint: &Endpoint, entity: &ServedEntity) -> Value {
    let state = json!({ "deployment": "DEPLOYMENT_READY", "deployment_state_message": "" });
    match &entity.provider {
        Provider::Model { entity_name, entity_version } => {
            json!({ "name": entity.name, "state": state, "entity_name": entity_name, "entity_version": entity_version })
        }
        provider => json!({
            "name": entity.name,
            "state": state,
            "external_model": {
                "provider": provider.name(), "name": entity.model, "task": endpoint.task.name(),
            },
        }),
    }
}

/// An endpoint of MLflow's gateway, which knows no custom models: its model is that of the first entity.
pub fn mlflow(endpoint: &Endpoint) -> Option<Value> {
    let endpoint_type = endpoint.task.name()?;
    let entity = endpoint.entities.first()?;
    Some(json!({
        "name": endpoint.name,
        "endpoint_type": endpoint_type,
        "model": { "name": entity.model, "provider": entity.provider.name() },
        "endpoint_url": format!("/gateway/{}/invocations", endpoint.name),
        "limit": null,
    }))
}
