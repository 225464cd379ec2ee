"""Telephone audio as such: `AudioChunk` and its units, G.711, upsampling for recognizers, wav files, the sample calls.

Pure are `chunk`, `g711`, `resampler` and `bandwidth_extension`; `upsampling`, `wav` and `sample_calls` read files.
Where audio comes from (`telephony`) and what is made of it (`recognition`) is not known here.
"""
