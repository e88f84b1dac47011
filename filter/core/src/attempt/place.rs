//! Whose turn an attempt is, behind an aggregate cluster (Envoy 1.36). There a cluster without a host is passed over, so
//! the attempt's number does not say where it goes, and one provider's credential would reach another. What says it is
//! the host that Envoy has chosen: `weir render` writes its cluster's name on it.

use super::{ATTEMPTS, Attempt, Failure, Handover, Note, read_notes};
use crate::{
    config::Cluster,
    host::{Effect, Host},
};

/// Where a host's metadata has the name of its cluster: Envoy's namespace, and the key.
pub const HOST_CLUSTER: [&str; 2] = ["weir", "cluster"];

/// No entity's number.
const NOWHERE: usize = usize::MAX;

impl Attempt {
    /// The number, from 1, of the entity that the chosen host serves, and what there is to note of those that were passed
    /// over. A host that does not say is an operator's own: taken for the next entity's, where that one has such a cluster.
    pub(super) fn place(&self, handover: &Handover, host: &impl Host) -> (usize, Vec<Effect>) {
        let mut notes = host.property(&[ATTEMPTS]).unwrap_or_default();
        let next = read_notes(&notes).len().saturating_add(1);
        let cluster = |number: usize| self.entity(handover, number).map(|(_, entity)| &entity.cluster);
        let [namespace, key] = HOST_CLUSTER;
        let said = host.property(&["xds", "upstream_host_metadata", "filter_metadata", namespace, key]);
        let number = match &said {
            Some(said) => (next..=handover.entities.len())
                .find(|number| cluster(*number).is_some_and(|cluster| cluster.name().as_bytes() == said)),
            None => Some(next).filter(|number| matches!(cluster(*number), Some(Cluster::Existing(_)))),
        };
        let Some(number) = number else { return (NOWHERE, Vec::new()) };
        if number == next {
            return (number, Vec::new());
        }
        let passed_over = Note { status: 0, failure: Failure::NotSent, latency_ms: 0 };
        (next..number).for_each(|_| passed_over.write(&mut notes));
        (number, vec![Effect::SetState(ATTEMPTS, notes)])
    }
}
