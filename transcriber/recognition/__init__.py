"""Behind the Recognizer port: Vosk, the pool, the lanes, and a scripted engine."""
