"""Networks: plain modules of torch and torchvision, independent of data, configs and training."""
