//! Which layers noticed a failure first.

use crate::scenario::raw::RawExpect;
use crate::scenario::stage::Stage;
use crate::scenario::{Expect, LAYERS};
use crate::source::{Mistakes, Span, list};

pub(super) fn parse(
    raw: &RawExpect,
    table: Span,
    stage: &Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Expect> {
    let connections = stage.links(raw.detected.as_ref()?, mistakes);
    let example = "by = [\"micro-bfd\", \"bfd\"]";
    let by = mistakes.require(raw.by.as_ref(), table, "`detected`", "by", example)?;
    let connections = connections?;
    let (mut layers, mut good) = (Vec::new(), true);
    for layer in by.value.located(by.span) {
        if !mistakes.known(&layer, "layer", LAYERS) {
            good = false;
            continue;
        }
        let wrong = if layers.contains(&layer.value) {
            let message = format!("`{}` can be first once only", layer.value);
            Some((message, "the second time"))
        } else {
            has_none(stage, &connections, &layer.value).map(|connection| {
                let message = format!("there is no {} on `{connection}`", layer.value);
                (message, "it could notice nothing")
            })
        };
        if let Some((message, label)) = wrong {
            mistakes.push(mistakes.error(layer.span, message, label));
            good = false;
        }
        layers.push(layer.value);
    }
    if layers.is_empty() && good {
        let diagnostic = mistakes.error(by.span, "no layer is named", "an empty list");
        mistakes.push(diagnostic.note(format!("layers: {}", list(LAYERS))));
        good = false;
    }
    good.then_some(Expect::Detected {
        connections,
        by: layers,
    })
}

/// A connection, or both ends inside a network, without such a layer, if one of these has none.
fn has_none(stage: &Stage<'_>, links: &[String], layer: &str) -> Option<String> {
    let lacks = |name: &&String| {
        if let Some(inner) = stage.topology.inside().find(|it| it.name() == **name) {
            return match layer {
                "bfd" => !inner.bfd,
                "bgp" => false,
                _ => true,
            };
        }
        let mut all = stage.topology.connections.iter();
        all.any(|it| {
            it.name == **name
                && match layer {
                    "micro-bfd" => it.micro_bfd.is_none(),
                    "bfd" => !it.bfd.options.required,
                    _ => false,
                }
        })
    };
    links.iter().find(lacks).cloned()
}
