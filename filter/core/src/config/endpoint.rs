//! One entry of `endpoints`: Databricks' create call, and Weir's own keys beside it.

use std::{borrow::Cow, collections::HashSet};

use super::{
    Endpoint, Permission, Plan, Provider, ServedEntity, Task,
    ai_gateway::{self, Gateway},
    document::Node,
    entity::{self, Draft},
    entity_id::Owner,
    limits_store,
    names::Claims,
    rate_limit::Placed,
    reader::{Field, Object, all},
    traffic,
};
use crate::limits::{Limits, Unit};

pub(super) fn read<'a>(
    field: &Field<'a>,
    index: usize,
    owner: &Owner<'_>,
    claims: &mut Claims<'a>,
) -> Option<Endpoint> {
    let mut endpoint = field.object()?;
    let name = endpoint.read("name", "the endpoint's name", |name| claims.read_endpoint(name, index));
    let gateway =
        endpoint.read_or("ai_gateway", Gateway::default(), |field| ai_gateway::read(field, name, owner.is_logged));
    let core = endpoint.read("config", "an object with `served_entities`", |field| {
        let has_fallback = gateway.as_ref().is_some_and(|gateway| gateway.has_fallback);
        read_core(field, name, has_fallback, owner, claims)
    });
    let permissions = endpoint.read_if("permissions", read_permissions);
    let models = endpoint.read_or("models", Vec::new(), |list| list.each(|model| claims.read_model(model, index)));
    let description =
        endpoint.read_if("description", |text| text.node.text().map(str::to_owned).or_else(|| text.owned()));
    endpoint.read_or("tags", Vec::new(), |tags| tags.each(check_tag));
    reject_misplaced(&mut endpoint);
    endpoint.close();
    models?;
    let (core, gateway) = (core?, gateway?);
    check_prices(&gateway.limits, &core.entities);
    if owner.shares_limits {
        limits_store::check_amounts(&gateway.limits)?;
    }
    let limits = gateway.limits.into_iter().map(|(_, limit)| limit).collect();
    Some(Endpoint {
        name: name?.to_owned(),
        task: core.task,
        own_headers: own_headers(&core.entities),
        entities: core.entities,
        plans: core.plans,
        limits: Limits::new(name?, limits, owner.rules),
        permissions: permissions?,
        usage_tracking: gateway.usage_tracking,
        inference_table: gateway.inference_table,
        description: description?,
    })
}

/// What has no price costs a limit of money nothing.
fn check_prices(limits: &Placed<'_>, entities: &[ServedEntity]) {
    let Some(unpriced) = entities.iter().find(|entity| entity.price.is_none()) else { return };
    let mut costs = limits.iter().filter(|(_, limit)| limit.units.iter().any(|(unit, _)| *unit == Unit::CostUsd));
    if let Some((field, _)) = costs.next() {
        field.warn(
            "a limit of `cost_usd`",
            format!("a `price` on every served entity: `{}` has none, and costs nothing", unpriced.name),
        );
    }
}

struct Core {
    task: Task,
    entities: Vec<ServedEntity>,
    plans: Vec<Plan>,
}

fn read_core<'a>(
    field: &Field<'a>,
    endpoint: Option<&'a str>,
    has_fallback: bool,
    owner: &Owner<'_>,
    claims: &mut Claims<'a>,
) -> Option<Core> {
    let mut core = field.object()?;
    let drafts = read_drafts(&mut core, endpoint, owner).unwrap_or_default();
    entity::check_together(&drafts);
    let routes = core.take("traffic_config");
    let shares = traffic::read_shares(&core, routes.as_ref(), &drafts);
    check_repeated_name(&mut core, endpoint);
    reject_capture(&mut core);
    core.close();
    if has_fallback && drafts.iter().any(|draft| draft.is_external == Some(false)) {
        field.report("entities that are not external models", "external models, or no fallback");
    }
    if has_fallback && drafts.len() == 1 {
        field.warn("one served entity", "several: `fallback_config` has nowhere to go");
    }
    let is_primary = |at: usize| shares.as_ref().and_then(|shares| shares.get(at)).is_some_and(|share| *share > 0);
    claim_clusters(claims, endpoint, &drafts, |at| has_fallback && drafts.len() > 1 && is_primary(at));
    let (entities, tasks): (Vec<_>, Vec<_>) = all(drafts.into_iter().map(|draft| draft.entity))?.into_iter().unzip();
    let plans = traffic::plans(endpoint?, &entities, &shares?, has_fallback);
    Some(Core { task: *tasks.first()?, entities, plans })
}

fn read_drafts<'a>(core: &mut Object<'a>, endpoint: Option<&str>, owner: &Owner<'_>) -> Option<Vec<Draft<'a>>> {
    match (core.take("served_entities"), core.take("served_models")) {
        (Some(list), None) => list.some(|entity| Some(entity::read(entity, endpoint, owner))),
        (_, Some(served_models)) => {
            served_models.reject("no such key: Databricks gave it up for `served_entities`");
            None
        }
        (None, None) => {
            core.report_missing("served_entities", "a list of the models that serve this endpoint");
            None
        }
    }
}

/// Databricks' SDK wants the endpoint's name here too.
fn check_repeated_name(core: &mut Object<'_>, endpoint: Option<&str>) {
    let Some(field) = core.take("name") else { return };
    if let (Some(name), Some(endpoint)) = (field.text(), endpoint)
        && name != endpoint
    {
        field.reject(format!("the endpoint's own name (`{endpoint}`), or no such key"));
    }
}

/// A rendered cluster needs its name, and so does the composite cluster that begins with the entity.
fn claim_clusters<'a>(
    claims: &mut Claims<'a>,
    endpoint: Option<&str>,
    drafts: &[Draft<'a>],
    is_chained: impl Fn(usize) -> bool,
) {
    let mut seen = HashSet::new();
    for (at, draft) in drafts.iter().enumerate() {
        if let Some((field, name)) = &draft.existing_cluster {
            claims.claim_existing(field, name);
        }
        let is_existing = draft.existing_cluster.is_some();
        if let (Some(endpoint), Some(name)) = (endpoint, &draft.name)
            && (!is_existing || is_chained(at))
            && seen.insert(name)
        {
            claims.claim_rendered(&draft.field, endpoint, name, is_existing);
        }
    }
}

fn read_permissions(field: &Field<'_>) -> Option<Vec<Permission>> {
    let permissions = field.each(read_permission)?;
    if permissions.is_empty() {
        field.warn("an empty list", "an entry, or no `permissions`: nobody may query this endpoint");
    }
    Some(permissions)
}

fn read_permission(field: &Field<'_>) -> Option<Permission> {
    let mut permission = field.object()?;
    let user = permission.read_if("user_name", Field::owned);
    let group = permission.read_if("group_name", Field::owned);
    let service_principal = permission.read_if("service_principal_name", Field::owned);
    // Who may manage an endpoint in Databricks may query it too.
    let levels = [("CAN_QUERY", ()), ("CAN_MANAGE", ())];
    let level = permission.read("permission_level", "`CAN_QUERY`", |level| level.choice(&levels));
    permission.close();
    let subjects = [
        user?.map(Permission::User),
        group?.map(Permission::Group),
        service_principal?.map(Permission::ServicePrincipal),
    ];
    let mut subjects = subjects.into_iter().flatten();
    let (Some(subject), None) = (subjects.next(), subjects.next()) else {
        field.reject("exactly one of `user_name`, `group_name`, `service_principal_name`");
        return None;
    };
    level.map(|()| subject)
}

/// Tags are accepted as Databricks takes them; nothing in Weir reads them.
fn check_tag(field: &Field<'_>) -> Option<()> {
    let mut tag = field.object()?;
    tag.read("key", "the tag's name", Field::text);
    tag.take("value");
    tag.close();
    Some(())
}

fn reject_misplaced(endpoint: &mut Object<'_>) {
    if let Some(limits) = endpoint.take("rate_limits") {
        limits.reject("no such key: Databricks gave it up, limits belong in `ai_gateway.rate_limits`");
    }
    endpoint.warn_of_platform_keys(&[
        "budget_policy_id",
        "email_notifications",
        "route_optimized",
        "telemetry_config",
        "usage_policy_id",
    ]);
}

/// The inference tables of the time before the AI gateway.
fn reject_capture(core: &mut Object<'_>) {
    let Some(field) = core.take("auto_capture_config") else { return };
    if matches!(field.node.entry("enabled"), Some(Node::Flag(false))) {
        field.warn("a key that Databricks gave up", "nothing: it has no effect in Weir");
    } else {
        field.reject("no such key: Databricks gave it up for `ai_gateway.inference_table_config`");
    }
}

/// The headers that attempts at these entities set, each once: see [`Endpoint::own_headers`].
fn own_headers(entities: &[ServedEntity]) -> Vec<Cow<'static, str>> {
    let mut names: Vec<Cow<'static, str>> = entities.iter().flat_map(|entity| entity.credential.headers()).collect();
    for entity in entities {
        match &entity.provider {
            Provider::Anthropic => names.push(Cow::Borrowed("anthropic-version")),
            Provider::OpenAi { organization: Some(_) } => names.push(Cow::Borrowed("openai-organization")),
            _ => {}
        }
    }
    names.sort_unstable();
    names.dedup();
    names
}
