"""What is Twilio's alone: the messages of Media Streams, how requests are signed, the REST API of streams."""
