"""scikit-learn's callbacks where the installed version has them (1.9 and later)."""

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:

    class CallbackSupportMixin:
        """Stands in for scikit-learn's mixin before 1.9; there are no callbacks."""

    def with_callbacks(method):
        """Give the method back unchanged."""
        return method


class FitTask:
    """The tasks that callbacks hear of: one fit, and an epoch below it for each epoch.

    Parameters
    ----------
    estimator : BaseAnticipator
        Being fitted.
    max_epochs : int
        Upper bound of the number of epochs.
    X, y, sample_weight : as given to fit
        What scikit-learn's `ScoringMonitor` scores on.
    """

    def __init__(self, estimator, max_epochs, X, y, sample_weight):
        start = getattr(estimator, "_init_callback_context", None)
        self.context = None if start is None else start(max_subtasks=max_epochs)
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self.told = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}

    def begin(self):
        """Tell that the fit begins."""
        if self.context is not None:
            self.context.call_on_fit_task_begin(**self.told)

    def epochs(self, records, attributes, finished):
        """Pass records on, telling callbacks when an epoch begins and ends.

        A callback that returns True ends training after its epoch. `attributes` gives
        the fitted attributes of that moment, called only if a callback wants them.
        """
        if self.context is None:
            yield from records
            return
        stop = False
        while not (stop or finished()):
            epoch = self.context.subcontext(task_name="epoch")
            epoch.call_on_fit_task_begin(**self.told)
            yield next(records)
            stop = epoch.call_on_fit_task_end(
                **self.told, reconstruction_attributes=attributes
            )

    def end(self):
        """Tell that the fit is over."""
        if self.context is not None:
            self.context.call_on_fit_task_end(
                **self.told, reconstruction_attributes=dict
            )
