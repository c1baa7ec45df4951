"""fit one model, fit_many seeds of it at once, predict."""

import torch


def fit(model, data, loss, epochs=30, batch_size=64, lr=3e-3, seed=0, on_epoch=None):
    """Train the model in place and return it. data = (x, *targets), each (N, ...); loss(logits, *targets) -> () nats.

    The order of examples is a pure function of seed and epoch. on_epoch(epoch, predict) is called after each epoch.
    """
    optimiser = torch.optim.Adam(model.parameters(), lr=lr)
    n = len(data[0])
    for epoch in range(epochs):
        model.train()
        order = torch.randperm(n, generator=torch.Generator().manual_seed(1_000_003 * seed + epoch))
        for rows in order.split(batch_size):
            x, *targets = (t[rows] for t in data)
            optimiser.zero_grad()
            loss(model(x), *targets).backward()
            optimiser.step()
        if on_epoch:
            on_epoch(epoch + 1, lambda x: predict(model, x))
    return model.eval()


def fit_many(make, data, loss, seeds=16, rows=None, **settings):
    """[fit(make(seed), data, loss, seed=seed) for seed in range(seeds)], all at once. rows: (S, n), what each seed sees."""
    data = [data] * seeds if rows is None else [tuple(t[r] for t in data) for r in rows]
    return [fit(make(seed), data[seed], loss, seed=seed, **settings) for seed in range(seeds)]


@torch.no_grad()
def predict(model, x, batch_size=4096):
    """Logits of a model (N, C), or of a list of models (S, N, C), in eval mode."""
    if isinstance(model, (list, tuple)):
        return torch.stack([predict(one, x, batch_size) for one in model])
    training = model.training
    logits = torch.cat([model.eval()(batch) for batch in x.split(batch_size)])
    model.train(training)
    return logits
