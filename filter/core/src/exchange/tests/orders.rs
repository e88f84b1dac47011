//! Inputs in every order that Envoy may give them: one row and one settlement, nothing left hanging.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use serde_json::json;

use super::drive::*;

/// The attempt that was under way is in the record, whoever failed before.
#[test]
fn the_client_goes_away_before_the_answer() {
    let rig = Rig::new(&policy());
    for (failed, entity) in [(0, "a"), (1, "b"), (2, "c"), (3, "c")] {
        let mut stream = rig.chat(OPENAI, &chat(json!({})));
        for _ in 0..failed {
            rig.wait_ms(10);
            stream.attempt(Outcome::Reset(30));
        }
        rig.wait_ms(5);
        let row = stream.row();
        assert_eq!(row["row"]["status_code"], 499);
        assert_eq!(row["row"]["output_token_count"], 0);
        assert_eq!(row["detail"]["complete"], false);
        assert_eq!(row["detail"]["served_entity_name"], entity);
        let attempts = row["detail"]["attempts"].as_array().unwrap();
        assert_eq!(attempts.len(), 3.min(failed + 1), "{attempts:?}");
        if failed < 3 {
            let latency_ms = failed * 10 + 5;
            let last = json!({"served_entity_name": entity, "status_code": null, "error": "client_gone", "latency_ms": latency_ms});
            assert_eq!(attempts[failed], last);
        }
    }
}
