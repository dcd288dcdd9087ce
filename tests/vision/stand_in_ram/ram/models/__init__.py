"""RAM and RAM++ in small: the attributes, methods and shapes of the real ones, random weights.

Real ones have a Swin encoder, a BERT of two layers that lost its self-attention, 768 where
`HIDDEN` is, 4,585 tags and, for RAM++, 51 descriptions of each.
"""

import os
import warnings

import numpy as np
import torch
from torch import nn

warnings.filterwarnings("ignore")  # the real one does so too

TAGS = [
    *("armchair", "bear", "cat", "cup", "desk", "dog", "earth", "flag", "grass"),
    *("helmet", "moon", "person", "spoon", "table", "tea", "woman"),
]
DESCRIPTIONS = 51
TEXT, HIDDEN = 512, 64
PATCH = {224: 28, 384: 32}


class Encoder(nn.Module):
    """Tokens of shape (batch, 1 + patches, 24): first their mean, then each."""

    def __init__(self, patch):
        super().__init__()
        self.proj = nn.Conv2d(3, 24, patch, patch)

    def forward(self, image):
        tokens = self.proj(image).flatten(2).transpose(1, 2)
        return torch.cat([tokens.mean(dim=1, keepdim=True), tokens], dim=1)


class Decoder(nn.Module):
    """Each label looks at the picture, and at no other label."""

    def __init__(self):
        super().__init__()
        self.key = nn.Linear(TEXT, HIDDEN)
        self.value = nn.Linear(TEXT, HIDDEN)

    def forward(
        self,
        encoder_embeds,
        encoder_hidden_states,
        encoder_attention_mask,
        return_dict,
        mode,
    ):
        assert mode == "tagging"
        assert not return_dict
        assert encoder_attention_mask.all()
        keys, values = self.key(encoder_hidden_states), self.value(encoder_hidden_states)
        weights = (encoder_embeds @ keys.transpose(1, 2) / HIDDEN**0.5).softmax(dim=-1)
        return (encoder_embeds + weights @ values,)


class Tagger(nn.Module):
    descriptions = 1

    def __init__(self, image_size=384, vit="base", threshold=0.68, delete_tag_index=()):
        super().__init__()
        assert vit == "swin_l"
        self.visual_encoder = Encoder(PATCH[image_size])
        self.image_proj = nn.Linear(24, TEXT)
        self.delete_tag_index = list(delete_tag_index)
        self.tag_list = np.array(TAGS)
        self.tag_list_chinese = np.array([f"标签{number}" for number in range(len(TAGS))])
        self.threshold = threshold
        self.num_class = len(TAGS)
        self.tagging_head = Decoder()
        # Zeros until a checkpoint is loaded
        self.label_embed = nn.Parameter(torch.zeros(self.num_class * self.descriptions, TEXT))
        self.wordvec_proj = nn.Linear(TEXT, HIDDEN)
        self.fc = nn.Linear(HIDDEN, 1)
        # An attribute, not a buffer: it stays on the CPU
        self.class_threshold = torch.ones(self.num_class) * threshold
        for index in range(0, self.num_class, 2):
            self.class_threshold[index] = 0.3 + 0.02 * index

    def labels(self, image_embeds):
        return self.label_embed.unsqueeze(0).repeat(len(image_embeds), 1, 1)

    def generate_tag(self, image):
        image_embeds = self.image_proj(self.visual_encoder(image))
        attends = torch.ones(image_embeds.shape[:-1], dtype=torch.long, device=image.device)
        labels = self.wordvec_proj(self.labels(image_embeds)).relu()
        tagging_embed = self.tagging_head(
            encoder_embeds=labels,
            encoder_hidden_states=image_embeds,
            encoder_attention_mask=attends,
            return_dict=False,
            mode="tagging",
        )
        logits = self.fc(tagging_embed[0]).squeeze(-1)
        found = (logits.sigmoid() > self.class_threshold.to(image.device)).cpu().numpy()
        found[:, self.delete_tag_index] = False
        return tuple(
            [" | ".join(names[row]) for row in found]
            for names in (self.tag_list, self.tag_list_chinese)
        )


class TaggerPlus(Tagger):
    descriptions = DESCRIPTIONS

    def __init__(self, **options):
        super().__init__(**options)
        self.reweight_scale = nn.Parameter(torch.ones([]) * np.log(1 / 0.07))

    def labels(self, image_embeds):
        """A tag's descriptions, the more of each the closer it is to the picture."""
        picture = nn.functional.normalize(image_embeds[:, 0], dim=-1)
        of_tag = self.label_embed.shape[0] // self.num_class
        close = self.reweight_scale.exp() * picture @ self.label_embed.t()
        weights = close.view(len(picture), -1, of_tag).softmax(dim=2)
        labels = torch.empty(len(picture), self.num_class, TEXT).to(image_embeds.device)
        for row, weight in zip(labels, weights, strict=True):
            row[:] = (weight.unsqueeze(-1) * self.label_embed.view(-1, of_tag, TEXT)).sum(dim=1)
        return labels


def _build(kind, pretrained, options):
    model = kind(**options)
    print("/encoder/layer/0 is tied")
    if pretrained:
        if not os.path.isfile(pretrained):  # noqa: PTH113
            raise RuntimeError("checkpoint url or path is invalid")
        checkpoint = torch.load(pretrained, map_location="cpu")
        model.load_state_dict(checkpoint["model"], strict=False)
        print("vit:", options["vit"])
    return model


def ram(pretrained="", **options):
    return _build(Tagger, pretrained, options)


def ram_plus(pretrained="", **options):
    return _build(TaggerPlus, pretrained, options)
