"""Train a small network on sentences with a fixed seed, and write the folder moods next to this file."""

import itertools
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

LABELS = ["sad", "happy"]
WORDS = [
    ["awful", "bad", "boring", "broken", "sad"],
    ["fine", "good", "great", "happy", "lovely"],
]
NAMES = ["book", "film", "day", "song", "trip"]
FORMS = ["the {name} was {word}", "a {word} {name}", "{word}", "this {name} is {word}"]


def make_tokenizer():
    words = sorted({word for text, _ in make_sentences() for word in text.split()})
    vocabulary = {token: index for index, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, **special)


def make_sentences():
    for label, words in enumerate(WORDS):
        for word, name, form in itertools.product(words, NAMES, FORMS):
            yield form.format(word=word, name=name), label


def main():
    torch.manual_seed(0)
    tokenizer = make_tokenizer()
    texts, labels = zip(*make_sentences(), strict=True)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        id2label=dict(enumerate(LABELS)),
        label2id={label: index for index, label in enumerate(LABELS)},
    )
    model = BertForSequenceClassification(config)
    batch = tokenizer(list(texts), padding=True, return_tensors="pt", return_token_type_ids=False)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.002)
    for _ in range(60):
        optimizer.zero_grad()
        model(**batch, labels=torch.tensor(labels)).loss.backward()
        optimizer.step()
    folder = Path(__file__).with_name("moods")
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    main()
