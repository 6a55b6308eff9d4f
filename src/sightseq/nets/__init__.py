"""Networks: plain modules of torch and torchvision, which know nothing of data, configs or training."""
