//! Draws a diagnostic the way rustc does.

use std::borrow::Cow;

use annotate_snippets::{
    Annotation, AnnotationKind, Element, Group, Level, Patch, Renderer, Snippet,
};

use super::secret::blotted;
use super::{Diagnostic, Place, Severity};

impl Diagnostic {
    /// Draws it, ending in a newline. `colour` uses ANSI escapes.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let texts = self.places.iter().map(|place| blotted(&place.source.text));
        let texts: Vec<Cow<'_, str>> = texts.collect();
        let mut drawn = renderer.render(&self.groups(&texts));
        drawn.push('\n');
        drawn
    }

    /// `texts` are those of the places' files, to be shown.
    fn groups<'a>(&'a self, texts: &'a [Cow<'_, str>]) -> Vec<Group<'a>> {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Note => Level::NOTE,
        };
        let title = level.primary_title(self.message.as_str());
        let mut elements: Vec<Element<'_>> =
            self.snippets(texts).into_iter().map(Into::into).collect();
        for note in &self.notes {
            elements.push(Level::NOTE.message(note.as_str()).into());
        }
        let patched = |help: &&super::Help| help.replacement.is_some() && !self.places.is_empty();
        for help in self.help.iter().filter(|help| !patched(help)) {
            elements.push(Level::HELP.message(help.message.as_str()).into());
        }
        let mut groups = vec![if elements.is_empty() {
            Group::with_title(title)
        } else {
            title.elements(elements)
        }];
        for help in self.help.iter().filter(patched) {
            groups.extend(self.patch(help, texts));
        }
        groups
    }

    /// One snippet for each file, the first place's file first.
    fn snippets<'a>(&'a self, texts: &'a [Cow<'_, str>]) -> Vec<Snippet<'a, Annotation<'a>>> {
        let mut snippets = Vec::new();
        let mut drawn: Vec<&Place> = Vec::new();
        for (place, text) in self.places.iter().zip(texts) {
            if drawn.iter().any(|other| other.source == place.source) {
                continue;
            }
            drawn.push(place);
            let mut snippet =
                Snippet::source(text.as_ref()).path(place.source.path.to_string_lossy());
            for (index, other) in self.places.iter().enumerate() {
                if other.source != place.source {
                    continue;
                }
                let kind = if index == 0 {
                    AnnotationKind::Primary
                } else {
                    AnnotationKind::Context
                };
                let annotation = kind.span(other.source.range(other.span));
                snippet = snippet.annotation(if other.label.is_empty() {
                    annotation
                } else {
                    annotation.label(other.label.as_str())
                });
            }
            snippets.push(snippet);
        }
        snippets
    }

    /// A help that shows the changed line.
    fn patch<'a>(&'a self, help: &'a super::Help, texts: &'a [Cow<'_, str>]) -> Option<Group<'a>> {
        let (span, text) = help.replacement.as_ref()?;
        let source = &self.places.first()?.source;
        Some(
            Level::HELP.secondary_title(help.message.as_str()).element(
                Snippet::source(texts.first()?.as_ref())
                    .path(source.path.to_string_lossy())
                    .patch(Patch::new(source.range(*span), text.as_str())),
            ),
        )
    }
}
