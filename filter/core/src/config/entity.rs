//! One entry of `served_entities`: a model, where it is and what it costs.

use std::collections::HashMap;

use super::{
    Cluster, Credential, Price, Provider, ServedEntity, Task, Tokenizer,
    entity_id::{Owner, served_entity_id},
    external_model::{self, External},
    names::{is_name, rendered_cluster},
    reader::{Field, Object},
    registered_model, url,
};

/// Databricks' own limit for a request.
const DEFAULT_FIRST_BYTE_MS: u64 = 297_000;

/// A served entity as far as it could be read; the checks that span several go on with what is there.
pub(super) struct Draft<'a> {
    pub field: Field<'a>,
    pub name: Option<String>,
    pub existing_cluster: Option<(Field<'a>, &'a str)>,
    pub entity: Option<(ServedEntity, Task)>,
    task: Option<(Field<'a>, Task)>,
    /// `None`: not even that could be read.
    pub is_external: Option<bool>,
    /// Where it is set, and what it is.
    first_byte: Option<(Field<'a>, u64)>,
}

pub(super) fn read<'a>(field: &Field<'a>, endpoint: Option<&str>, owner: &Owner<'_>) -> Draft<'a> {
    let mut draft = Draft {
        field: field.clone(),
        name: None,
        existing_cluster: None,
        entity: None,
        task: None,
        is_external: None,
        first_byte: None,
    };
    let Some(mut object) = field.object() else { return draft };
    let external = read_model(&mut object, field);
    draft.name = read_name(&mut object, external.as_ref().and_then(|(model, _)| model.as_deref()));
    let cluster = object.read_if("cluster", |cluster| {
        let name = url::read_cluster(cluster)?;
        draft.existing_cluster = cluster.node.text().map(|text| (cluster.clone(), text));
        Some(name)
    });
    draft.first_byte = read_first_byte(&mut object, field);
    let price = object.read_if("price", read_price);
    let tokenizer = object.read_if("tokenizer", |tokenizer| tokenizer.choice(TOKENIZERS));
    object.warn_of_platform_keys(PLATFORM_KEYS);
    object.close();
    let external = external.and_then(|(_, external)| external);
    draft.is_external = external.is_some().then(|| field.node.entry("external_model").is_some());
    draft.task = external.as_ref().map(|external| (external.task_field.clone(), external.task));
    draft.entity = (|| {
        let (external, name, endpoint): (External<'_>, _, _) = (external?, draft.name.clone()?, endpoint?);
        let rendered = || Cluster::Rendered(rendered_cluster(endpoint, &name));
        let default_tokenizer = match external.provider {
            Provider::OpenAi { .. } | Provider::Azure { .. } => Tokenizer::O200kBase,
            _ => Tokenizer::Ratio,
        };
        let entity = ServedEntity {
            id: served_entity_id(owner, endpoint, field.node),
            provider: external.provider,
            credential: granted(external.credential, endpoint, &name),
            model: external.name,
            cluster: cluster?.map_or_else(rendered, Cluster::Existing),
            upstream: external.upstream,
            first_byte_ms: draft.first_byte.as_ref().map(|(_, ms)| *ms)?,
            price: price?,
            tokenizer: tokenizer?.unwrap_or(default_tokenizer),
            name,
        };
        Some((entity, external.task))
    })();
    draft
}

/// A token that must be fetched is the entity's own, and so is the cluster to its server. The dot is in no entity's name.
fn granted(credential: Credential, endpoint: &str, name: &str) -> Credential {
    match credential {
        Credential::Fetched(mut grant) => {
            grant.name = format!("{endpoint}/{name}");
            grant.cluster = format!("{}.token", rendered_cluster(endpoint, name));
            Credential::Fetched(grant)
        }
        other => other,
    }
}

/// What all entities of an endpoint must have in common, or must not.
pub(super) fn check_together(drafts: &[Draft<'_>]) {
    check_names(drafts);
    let mut kinds = drafts.iter().filter_map(|draft| Some((&draft.field, draft.is_external?)));
    if let Some((_, first)) = kinds.next() {
        for (field, _) in kinds.filter(|(_, is_external)| *is_external != first) {
            field.report(
                if first { "no external model" } else { "an external model" },
                "the same kind as the endpoint's first entity: external models, or others",
            );
        }
    }
    let mut tasks = drafts.iter().filter_map(|draft| draft.task.as_ref());
    if let Some((_, first)) = tasks.next() {
        for (field, _) in tasks.filter(|(_, task)| task != first) {
            field.reject("the same task as the endpoint's first entity");
        }
    }
    let mut timeouts = drafts.iter().filter_map(|draft| draft.first_byte.as_ref());
    if let Some((_, first)) = timeouts.next() {
        for (field, ms) in timeouts.filter(|(_, ms)| ms != first) {
            field.report(
                format!("{ms} ms until the first byte"),
                format!(
                    "{first} as in the endpoint's first entity: Envoy's router reads one timeout per try for a request \
                     (default {DEFAULT_FIRST_BYTE_MS})"
                ),
            );
        }
    }
}

fn check_names(drafts: &[Draft<'_>]) {
    let mut first_of = HashMap::new();
    for (at, draft) in drafts.iter().enumerate() {
        let Some(name) = &draft.name else { continue };
        if let Some(first) = first_of.get(name) {
            draft.field.report(
                format!("the name `{name}`"),
                format!("a `name` of its own: served_entities[{first}] has this one"),
            );
        } else {
            first_of.insert(name, at);
        }
    }
}

/// cl100k_base has no tables of its own: its models' tokens are some share more or less than o200k_base's, which is learnt.
const TOKENIZERS: &[(&str, Tokenizer)] =
    &[("o200k_base", Tokenizer::O200kBase), ("cl100k_base", Tokenizer::Ratio), ("ratio", Tokenizer::Ratio)];

/// Keys of `ServedEntityInput` that size and steer Databricks' own compute.
const PLATFORM_KEYS: &[&str] = &[
    "burst_scaling_enabled",
    "environment_vars",
    "instance_profile_arn",
    "max_provisioned_concurrency",
    "max_provisioned_throughput",
    "min_provisioned_concurrency",
    "min_provisioned_throughput",
    "provisioned_model_units",
    "scale_to_zero_enabled",
    "workload_size",
    "workload_type",
];

/// What serves, and its own name even where the rest of it is wrong.
fn read_model<'a>(object: &mut Object<'a>, entity: &Field<'a>) -> Option<(Option<String>, Option<External<'a>>)> {
    let own = ["entity_name", "entity_version", "url", "task"];
    if let Some(field) = object.take("external_model") {
        for key in own {
            if let Some(field) = object.take(key) {
                field.reject("no such key beside `external_model`");
            }
        }
        let model = field.node.entry("name").and_then(|name| name.text()).filter(|name| !name.is_empty());
        return Some((model.map(str::to_owned), external_model::read(&field)));
    }
    if own.iter().all(|key| entity.node.entry(key).is_none()) {
        object.pass_over(&own);
        object.report_missing("external_model", "the model that serves");
        return None;
    }
    Some(registered_model::read(object, entity))
}

/// The default is the model's name with `.` and `:` turned into `-`.
fn read_name(object: &mut Object<'_>, model: Option<&str>) -> Option<String> {
    const EXPECTED: &str = "letters, digits, `-` and `_`, at most 63 of them";
    if let Some(field) = object.take("name") {
        return field.matching(EXPECTED, is_name).map(str::to_owned);
    }
    let name = model?.replace(['.', ':'], "-");
    if !is_name(&name) {
        object.report_missing("name", &format!("{EXPECTED}: the model's own name cannot be turned into such a one"));
        return None;
    }
    Some(name)
}

fn read_first_byte<'a>(object: &mut Object<'a>, entity: &Field<'a>) -> Option<(Field<'a>, u64)> {
    let Some(field) = object.take("timeouts") else { return Some((entity.clone(), DEFAULT_FIRST_BYTE_MS)) };
    let mut timeouts = field.object()?;
    let first_byte = timeouts.read_or("first_byte_ms", (field.clone(), DEFAULT_FIRST_BYTE_MS), |ms| {
        Some((ms.clone(), ms.whole(1..=3_600_000)?))
    });
    timeouts.close();
    first_byte
}

/// What stands for cached tokens is the price of input where nothing else is said.
fn read_price(field: &Field<'_>) -> Option<Price> {
    let mut price = field.object()?;
    let expected = "US dollars for a million tokens";
    let input = price.read("input_per_million_usd", expected, Field::amount);
    let output = price.read("output_per_million_usd", expected, Field::amount);
    let default = input.unwrap_or_default();
    let cached = price.read_or("cached_input_per_million_usd", default, Field::amount);
    let cache_write = price.read_or("cache_write_input_per_million_usd", default, Field::amount);
    price.close();
    Some(Price {
        input_per_million_usd: input?,
        cached_input_per_million_usd: cached?,
        cache_write_input_per_million_usd: cache_write?,
        output_per_million_usd: output?,
    })
}
