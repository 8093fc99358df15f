"""The log-mel spectrogram of a window, as Whisper's feature extractor makes it, for frames of 32 ms every 20 ms.

Whisper's own are of 25 ms every 10 ms; half as many frames are half the work, here and for everyone who transcribes. The numbers are
written into preprocessor_config.json, where a Whisper checkpoint says them.
"""
import numpy as np
import torch
from transformers.audio_utils import mel_filter_bank

RATE, HOP, FRAME, BANDS = 16_000, 320, 512, 80
# The encoder's second convolution halves the frames.
SECONDS_PER_POSITION = 2 * HOP / RATE
WINDOW = 250      # positions of the longest window: 10 s
HANN = torch.hann_window(FRAME)


def mel_filters(warp=1.0):
    """f32 [bins, bands]. `warp`: factor of all frequencies, as of a vocal tract that is so much shorter."""
    filters = mel_filter_bank(FRAME // 2 + 1, BANDS, 0.0, RATE / 2, RATE, norm="slaney", mel_scale="slaney")
    if warp == 1.0:
        return torch.from_numpy(filters).float()
    bins = np.arange(len(filters))
    return torch.from_numpy(np.stack([np.interp(bins * warp, bins, band, right=0) for band in filters.T], 1)).float()


def power(x):
    """f32 [batch, frames * HOP] -> [batch, frames, bins]"""
    spectrum = torch.stft(x, FRAME, HOP, window=HANN, center=True, pad_mode="reflect", return_complex=True)
    return spectrum[..., :-1].abs().square().mT


def log_mel(energies):
    """[..., frames, bands] of energies -> in about -1..1"""
    level = energies.clamp(min=1e-10).log10()
    loudest = level.amax((-2, -1), keepdim=True)
    return (torch.maximum(level, loudest - 8) + 4) / 4
