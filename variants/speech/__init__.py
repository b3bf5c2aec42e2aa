"""Speech, for training, calibration and corpora: read from folders, or made from speech (rooms, noise, conversations).

In: folders of audio with RTTM, arrays, a generator that fixes every sample. Out: arrays and turns.
"""
