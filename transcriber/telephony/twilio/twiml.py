"""The TwiML that answers a voice webhook: the call's stream, or why it has none, and how the call goes on. Pure."""

from dataclasses import dataclass
from xml.etree import ElementTree as ET


@dataclass(frozen=True, slots=True)
class StreamTarget:
    """Where Twilio is to send a stream of both tracks; a `ticket` is handed back as a custom parameter."""

    url: str
    status_callback: str
    ticket: str = ""


def voice_response(target: StreamTarget | None, *, why_not: str = "", then: str) -> bytes:
    """The document. `then`: a value of TRANSCRIBER_TWIML_THEN; `why_not` becomes a comment where there is no target."""
    root = ET.Element("Response")
    if target is not None:
        attributes = {"url": target.url, "track": "both_tracks", "statusCallback": target.status_callback}
        stream = ET.SubElement(ET.SubElement(root, "Start"), "Stream", attributes)
        if target.ticket:
            ET.SubElement(stream, "Parameter", {"name": "ticket", "value": target.ticket})
    else:
        root.append(ET.Comment(f" not transcribed: {why_not} "))
    kind, _, argument = then.partition(":")
    match kind:
        case "dial":
            ET.SubElement(root, "Dial").text = argument
        case "redirect":
            ET.SubElement(root, "Redirect").text = argument
        case _:
            ET.SubElement(root, "Pause", {"length": argument})
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))
