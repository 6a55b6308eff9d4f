"""The page of `sightseq demo`: a tab for each model, made of what its predictor says of itself."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from numpy.typing import NDArray

from sightseq.core.page import Widget
from sightseq.demo.session import LONGEST_TEXT, Session, problem

CSS = """
.answer h3 { margin: 1.2em 0 .3em; } .answer .soft { opacity: .7; margin: .2em 0; }
.problem { color: #b03a00; margin: .4em 0; } .answer .lines { white-space: pre-wrap; }
.answer table { border-collapse: collapse; } .answer th, .answer td { padding: .25em .8em; text-align: left; }
.answer .scroll { overflow-x: auto; } .answer img { max-width: 100%; height: auto; background: white; }
.answer img { min-width: 0 !important; }
.answer .pixels { image-rendering: pixelated; } .answer .images { display: flex; flex-wrap: wrap; gap: 1em; }
.answer .passage { line-height: 1.7; }
"""
BRUSH = """() => { const wait = setInterval(() => {
    const tools = document.querySelectorAll('button[aria-label="Brush"]');
    tools.forEach((tool) => tool.click());
    if (tools.length) clearInterval(wait);
}, 300); setTimeout(() => clearInterval(wait), 60000); }"""
"""Takes the brush as soon as it is there, so that one can draw at once."""
CANVAS = 320  # pixels per side of the paper for drawings
DRAWN = 240  # pixels: most people leave a margin
BUTTONS = 3  # suggestions below a text
EXAMPLES = 8  # of a model
OF_TABLES = ("column", "delimiter")  # options of files of texts, which have no place beside a text box
Given = Mapping[str, Any]
Models = Mapping[str, tuple[str, Session, Sequence[Any]]]
"""For each name the title, the session and examples."""


def build(models: Models, cache: Path) -> Any:
    """Return the page.

    Args:
        models: see `Models`.
        cache: the folder where uploads are kept for a short time; no other file is read.
    """
    # Files are removed after five minutes.
    with gr.Blocks(title="sightseq", analytics_enabled=False, delete_cache=(60, 300)) as page:
        gr.Markdown("# sightseq")
        for name, (title, session, examples) in models.items():
            with gr.Tab(title or name):
                Tab(name, session, examples, cache).build()
        page.load(js=BRUSH)
    return page


class Tab:
    """The part of the page for one model.

    Args:
        name: name of the model; what is given to it is answered one after the other.
        session: answers what is given.
        examples: inputs to choose from.
        cache: see `build`.
    """

    def __init__(self, name: str, session: Session, examples: Sequence[Any], cache: Path) -> None:
        self.name, self.session, self.examples, self.cache = name, session, examples, cache
        self.fields: list[str] = []
        self.defaults: list[Any] = []

    def build(self) -> None:
        """Add the components and their events to the page."""
        predictor = self.session.predictor
        widget = predictor.widget
        assert widget is not None  # the command has refused a predictor without one
        canvas = predictor.canvas(self.examples)
        with gr.Row():
            with gr.Column():
                if widget.kind == "text":
                    source: Any = gr.Textbox(label=widget.label, lines=4, max_length=LONGEST_TEXT)
                    if predictor.suggest(""):
                        self._suggestions(source)
                elif canvas:
                    with gr.Tab("draw"):
                        pad = self._pad(round(DRAWN * canvas.stroke / 2))  # the brush has a radius
                    with gr.Tab("photo"):
                        source = self._upload(widget)
                        button = self._button()
                        self._examples(source)
                else:
                    source = self._upload(widget)
                options = self._options(widget)
                if not canvas:  # a drawing is read at each stroke
                    button = self._button()
                    self._examples(source)
            with gr.Column():
                answer = gr.HTML(label="answer")
        if widget.kind == "text":
            self._on([button.click, source.submit], self._text, [source, *options], answer)
        elif canvas:
            drawn = partial(self._drawn, canvas.image)
            self._on([pad.change], drawn, [pad, *options], answer)
            self._on([button.click, source.change], self._file, [source, *options], answer, preprocess=False)
        else:
            self._on([button.click, source.change], self._file, [source, *options], answer, preprocess=False)

    def _on(
        self, triggers: Sequence[Any], function: Callable[..., Any], inputs: Any, outputs: Any, **more: Any
    ) -> None:
        gr.on(
            triggers,
            function,
            inputs,
            outputs,
            concurrency_limit=1,
            concurrency_id=self.name,
            trigger_mode="always_last",
            show_progress="minimal",
            api_visibility="private",
            **more,
        )

    def _button(self) -> Any:
        return gr.Button("Predict", variant="primary")

    def _examples(self, source: Any) -> None:
        if self.examples:
            rows = [[one] for one in self.examples[:EXAMPLES]]
            # All recordings would be shown as "(audio)".
            names = [f"{number}" for number in range(1, len(rows) + 1)] if isinstance(source, gr.Audio) else None
            gr.Examples(rows, source, label="examples", example_labels=names, api_visibility="private")

    def _upload(self, widget: Widget) -> Any:
        if widget.kind == "image":
            return gr.Image(label=widget.label, type="filepath", format="png", sources=["upload", "webcam"])
        if widget.kind == "sound":
            return gr.Audio(label=widget.label, type="filepath", format="wav", sources=["upload", "microphone"])
        return gr.File(label=widget.label, file_types=list(widget.suffixes))

    def _pad(self, brush: int) -> Any:
        return gr.Sketchpad(
            label="draw here",
            image_mode="RGBA",
            canvas_size=(CANVAS, CANVAS),
            fixed_canvas=True,
            layers=False,
            transforms=(),
            brush=gr.Brush(brush, colors=["#000000"], color_mode="fixed"),
        )

    def _suggestions(self, source: Any) -> None:
        """Add buttons with the next words, which change while a person types."""
        texts = gr.State([])
        with gr.Row():
            buttons = [gr.Button("", visible=False, size="sm", min_width=60) for _ in range(BUTTONS)]

        def offer(text: str) -> list[Any]:
            found = self.session.predictor.suggest(text[-LONGEST_TEXT:])[:BUTTONS]
            shown = [gr.Button(label, visible=True) for label, _ in found]
            return [[after for _, after in found], *shown, *[gr.Button(visible=False)] * (BUTTONS - len(shown))]

        self._on([source.change], offer, [source], [texts, *buttons])
        for number, button in enumerate(buttons):
            button.click(lambda found, n=number: found[n], [texts], [source], queue=False, api_visibility="private")

    def _options(self, widget: Widget) -> list[Any]:
        """Add a component for each option, in a part that is closed at first."""
        components = []
        with gr.Accordion("options", open=False):
            schema = self.session.options.model_json_schema()
            for name, field in schema.get("properties", {}).items():
                if widget.kind == "text" and name in OF_TABLES:
                    continue
                kinds = {one.get("type") for one in field.get("anyOf", [field])} - {"null"}
                about = field.get("description", "").replace("null:", "empty:")
                more = {"value": field.get("default"), "label": name, "info": about}
                if "enum" in field:
                    component: Any = gr.Dropdown(field["enum"], **more)
                elif kinds == {"boolean"}:
                    component = gr.Checkbox(**more)
                elif kinds <= {"integer", "number"}:
                    # Without a placeholder, a number without a value is shown as 0.
                    component = gr.Number(**more, placeholder=" ", precision=0 if kinds == {"integer"} else None)
                elif kinds == {"string"}:
                    component = gr.Textbox(**more)
                else:
                    continue
                components.append(component)
                self.fields.append(name)
                self.defaults.append(field.get("default"))
        return components

    def _given(self, values: Sequence[Any]) -> Given:
        """Return the options that differ from their defaults."""
        triples = zip(self.fields, values, self.defaults, strict=True)
        return {name: value for name, value, default in triples if value not in (default, None, "")}

    def _text(self, text: str, *values: Any) -> str:
        return self.session.text(text, self._given(values))

    def _file(self, upload: Any, *values: Any) -> str:
        """Answer an uploaded file, given as Gradio describes it, so that the file is the one the person chose."""
        if not upload:
            return self.session.file(None, "", self._given(values))
        path = Path(upload["path"]).resolve()
        if not path.is_relative_to(self.cache.resolve()):  # the description is the client's
            return problem("this is not an uploaded file")
        return self.session.file(path, upload.get("orig_name") or path.name, self._given(values))

    def _drawn(self, image: Callable[[NDArray[np.uint8]], Any], drawing: Any, *values: Any) -> str:
        layers = drawing["layers"] if drawing else []
        ink = np.max([layer[..., 3] for layer in layers], axis=0) if layers else np.zeros((1, 1), np.uint8)  # opacity
        return self.session.array(image(ink), self._given(values)) if ink.any() else ""
