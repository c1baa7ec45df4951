"""A model's weights in a file, and what they are recognised by: save, load, train once and reuse."""

import hashlib

import torch

from course_lib.files import cut, keep_folder, whole


def state_hash(model):
    """A fingerprint of everything a model is made of, buffers included: equal before and after, or it was trained."""
    return fingerprint(model.state_dict())


def save(model, path):
    """Write the weights (buffers included) to a file, whole or not at all."""
    with whole(path) as file:
        torch.save(model.state_dict(), file)


def load(path, model):
    """Fill the model with the weights in a file, and return it in eval mode. Nothing in the file is executed."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no {path}; train the model and save(model, path) first") from None
    except Exception as error:  # a damaged file fails in many ways: zip, pickle, end of file
        raise ValueError(f"{path} is damaged or is no file of weights; delete it and save the model again") from error
    try:
        model.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} holds the weights of another model than this one. {cut(str(error), 200)}") from None
    return model.eval()


def reuse(name, model, train, *settings):
    """Train once, reuse everywhere: the model with the weights kept under this name, else after train(model).

    settings: all that training depends on, tensors and plain values: reuse("teacher", mlp(64, 10), train, x, y, 30).
    They, the model and its initial weights make a fingerprint; weights with another one are not served.
    The file lies in `models` in the data folder (COURSE_DATA); where it cannot be written, training is repeated.
    """
    if any(" at 0x" in repr(value) for value in settings if not isinstance(value, torch.Tensor)):
        raise ValueError("reuse takes settings that read the same tomorrow: tensors, numbers, words; not functions")
    made_of = fingerprint({"model": str(model), **model.state_dict(), **dict(enumerate(settings))})
    path = keep_folder() / "models" / f"{name}-{made_of[:16]}.pt"
    if path.exists():
        try:
            return load(path, model)
        except ValueError as error:
            print(f"{error}. It is trained again now.")
    train(model)
    try:
        save(model, path)
    except OSError as error:
        print(f"{name} is trained but could not be kept in {path.parent} ({error.strerror}).")
    return model.eval()


def fingerprint(values):
    """sha256 of a dict of tensors and plain values, their names, types and shapes included."""
    digest = hashlib.sha256()
    for name, value in values.items():
        if isinstance(value, torch.Tensor):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            value = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        else:
            value = repr(value).encode()
        digest.update(f"{name} {len(value)}".encode() + value)
    return digest.hexdigest()
