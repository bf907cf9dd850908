"""What all estimators share: checking, training, predicting, saving."""
